package pdns

import (
	"errors"
	"time"
)

// Version describes one published state of a zone. Order between two
// versions of a zone is by the Version number alone, never by serial: a
// restored backup or a re-created zone may carry a lower serial and must
// still get through.
type Version struct {
	// Zone is the canonical zone name, see [CanonicalZone].
	Zone string `json:"zone"`
	// Version grows with every publication; in microseconds since the Unix
	// epoch or one more than the last, see [NextVersion].
	Version int64 `json:"version"`
	// Serial is the SOA serial of the content as AXFR showed it, so the
	// edited serial where SOA-EDIT is set. Zero in a tombstone.
	Serial uint32 `json:"serial"`
	// Digest is the hex SHA-384 of the content, see [Digester]. Empty in a
	// tombstone, and in one that has no content of its own, see [Delta].
	Digest string `json:"digest,omitempty"`
	// Records is the number of records, the SOA counted once.
	Records int `json:"records"`
	// Plain is how many of them are not DNSSEC's own, see [PlainRecord].
	Plain int `json:"plain,omitempty"`
	// Publisher is the ID of the primary that published it.
	Publisher string `json:"publisher"`
	// Time is when it was published, by the publisher's clock.
	Time time.Time `json:"time"`
	// Deleted marks a tombstone: the zone is gone from the primary.
	Deleted bool `json:"deleted,omitempty"`
	// Signed says that the content carries RRSIG records.
	Signed bool `json:"signed,omitempty"`
	// Expires is when the first of the content's signatures ends.
	Expires time.Time `json:"expires,omitzero"`
	// NSEC3 says that the content proves denial with NSEC3, not NSEC.
	NSEC3 bool `json:"nsec3,omitempty"`
	// Live says that the content holds ALIAS or LUA records, whose answers PowerDNS
	// makes when it is asked. In a signed zone only a server with its keys can sign them.
	Live bool `json:"live,omitempty"`
	// Size is the length of the compressed content in bytes.
	Size int64 `json:"size,omitempty"`
	// Object names the object that holds the content where it is too large
	// to ride in the entry itself.
	Object string `json:"object,omitempty"`
	// Delta is set where the zone was not read as a whole, see [Delta]. Records
	// and Plain are then the base's.
	Delta *Delta `json:"delta,omitempty"`
	// Diff is set where the version before differs little, see [Diff].
	Diff *Diff `json:"diff,omitempty"`
}

// Supersedes reports whether v is newer than the version number applied.
func (v Version) Supersedes(applied int64) bool { return v.Version > applied }

// SameContent reports whether a and b say the same about the zone: both
// gone, or the same serial and digest. What is unproven cannot say so.
func (v Version) SameContent(b Version) bool {
	return v.Deleted == b.Deleted && v.Serial == b.Serial && v.Digest == b.Digest && !v.Unproven() && !b.Unproven()
}

// Yields reports whether next, just read on the primary that it names as its
// publisher, may be published over v at once. What another primary published
// yields only to what is certainly newer: next's database may lag behind, also
// at an equal serial (keys, metadata), and also with a higher one, left from
// before a backup was restored or the zone made again. taken says that next's
// primary has just taken a change of the zone.
func (v Version) Yields(next Version, taken bool) bool {
	return v.Publisher == next.Publisher || v.SameContent(next) ||
		taken && !v.Deleted && SerialNewer(next.Serial, v.Serial)
}

// NextVersion returns the number of the version that follows last: the
// larger of last+1 and now in microseconds, so that a lost or restored bucket
// continues above what was served before.
func NextVersion(last int64, now time.Time) int64 {
	return max(last+1, now.UnixMicro())
}

// What a store of versions answers when it has none, when a compare-and-set
// lost against another publisher, and when inline content was replaced before
// it was read.
var (
	ErrNoVersion       = errors.New("zone has no published version")
	ErrVersionConflict = errors.New("another version was published meanwhile")
	ErrContentGone     = errors.New("content of this version was replaced by a newer one")
)
