package pdns

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// PowerDNS signs live in whole weeks since the Unix epoch, which was a
// Thursday: from a week before the last one began until two after it, without
// a change of the serial (4.7 to 5.1, dnssecsigner.cc).
const (
	signatureWeek = 7 * 24 * time.Hour
	signatureLife = 2 * signatureWeek
	// rollSpread is how long after a roll old signatures are left to the scan,
	// rollPull after how long it is to have fetched the new ones; what is late is
	// spread over rollLate.
	rollSpread = 6 * time.Hour
	rollPull   = 4 * time.Hour
	rollLate   = 15 * time.Minute
)

// LastSignatureRoll returns when PowerDNS last gave the zones that it signs
// live their new signatures: Thursday 00:00 UTC.
func LastSignatureRoll(now time.Time) time.Time {
	const week = int64(signatureWeek / time.Second)
	return time.Unix(now.Unix()/week*week, 0).UTC()
}

// SignaturesRolled reports whether v holds signatures from before the last
// roll, so that its zone is to be pulled again although nothing else tells.
// Only PowerDNS lets signatures end with a whole week: a presigned zone, whose
// signatures no pull renews, is not taken for one of those.
func (v Version) SignaturesRolled(now time.Time) bool {
	if v.Deleted || !v.Signed || v.Expires.IsZero() {
		return false
	}
	live := LastSignatureRoll(v.Expires).Equal(v.Expires)
	return live && v.Expires.Before(LastSignatureRoll(now).Add(signatureLife))
}

// RollShare returns how many of the stale zones, whose signatures are from before
// the last roll, are to be pulled now, where that happens every so often: evenly
// spread, all are within hours of the roll.
func RollShare(stale int, every time.Duration, now time.Time) int {
	left := max(LastSignatureRoll(now).Add(rollPull).Sub(now), rollLate)
	return min(stale, int(math.Ceil(float64(stale)*float64(every)/float64(left))))
}

// ExpirationTime is the time that an RRSIG's Signature Expiration or Inception
// field stands for (RFC 4034 section 3.1.5), until 2106.
func ExpirationTime(field uint32) time.Time { return time.Unix(int64(field), 0).UTC() }

// Signing is what a server's answers show of how a zone is signed, reduced to
// what must be the same on all servers. The zero value is an unsigned zone.
type Signing struct {
	// Expires is when the first of the signatures ends.
	Expires time.Time `json:"expires,omitzero"`
	// Mark stands for all that the signatures say, the expiration too, but not
	// for their octets: these differ with each restart of a primary that signs
	// with ECDSA.
	Mark string `json:"mark,omitempty"`
	// Keys stands for the DNSKEY records: a key that is published and signs nothing
	// yet, as before a rollover (RFC 7583), shows in no signature's fields. It is empty
	// where they were not asked for.
	Keys string `json:"keys,omitempty"`
}

// SigningOf returns the signing that these signatures show, in whatever order.
func SigningOf(sigs []*dns.RRSIG) Signing {
	if len(sigs) == 0 {
		return Signing{}
	}
	said := make([][]byte, 0, len(sigs))
	first := sigs[0].Expiration
	for _, sig := range sigs {
		said = append(said, fieldsOf(sig))
		first = min(first, sig.Expiration)
	}
	slices.SortFunc(said, slices.Compare[[]byte])
	sum := sha256.Sum256(slices.Concat(said...))
	return Signing{Expires: ExpirationTime(first), Mark: hex.EncodeToString(sum[:8])}
}

// OtherKeys reports whether two servers have other keys, as far as both were asked.
func (s Signing) OtherKeys(other Signing) bool {
	return s.Keys != "" && other.Keys != "" && s.Keys != other.Keys
}

// KeysMark stands for a set of DNSKEY records, in whatever order, empty for none.
// Their TTL does not count.
func KeysMark(records []dns.RR) string {
	var keys []string
	for _, rr := range records {
		if key, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, fmt.Sprintf("%d %d %d %s\n", key.Flags, key.Protocol, key.Algorithm, key.PublicKey))
		}
	}
	if len(keys) == 0 {
		return ""
	}
	slices.Sort(keys)
	sum := sha256.Sum256([]byte(strings.Join(keys, "")))
	return hex.EncodeToString(sum[:8])
}

// fieldsOf returns the fields that say what is signed, by which key and for how
// long; all have a fixed length.
func fieldsOf(sig *dns.RRSIG) []byte {
	var b []byte
	b = binary.BigEndian.AppendUint16(b, sig.TypeCovered)
	b = append(b, sig.Algorithm, sig.Labels)
	b = binary.BigEndian.AppendUint32(b, sig.OrigTtl)
	b = binary.BigEndian.AppendUint32(b, sig.Expiration)
	b = binary.BigEndian.AppendUint32(b, sig.Inception)
	return binary.BigEndian.AppendUint16(b, sig.KeyTag)
}

// SignatureState is how the signatures that a server serves for a zone stand.
type SignatureState string

// The states. All but the first two are faults that a sync may mend.
const (
	// SignaturesFresh are what the primary serves too.
	SignaturesFresh SignatureState = "fresh"
	// SignaturesRolling are those of the week before, good for long enough: the
	// primary has new ones since a few hours, and the scan fetches these, spread
	// over time.
	SignaturesRolling SignatureState = "rolling"
	// SignaturesDifferent are other ones than the primary's, or there are other keys.
	SignaturesDifferent SignatureState = "different"
	// SignaturesExpiring end too soon, and the primary has better ones.
	SignaturesExpiring SignatureState = "expiring"
	// SignaturesMissing: the zone is not signed here, or not served at all.
	SignaturesMissing SignatureState = "missing"
	// SignaturesBogus do not verify with the primary's keys.
	SignaturesBogus SignatureState = "bogus"
)

// Fault reports whether a sync is due.
func (s SignatureState) Fault() bool { return s != SignaturesFresh && s != SignaturesRolling }

// SignatureRules say when signatures are replaced.
type SignatureRules struct {
	// MinRemaining is how long signatures must stay valid. Below a week, since
	// PowerDNS itself lets live ones run down to that.
	MinRemaining time.Duration `json:"min_remaining"`
}

// Ending reports whether signatures of which the first ends at expires end too
// soon; the zero time is no signature.
func (r SignatureRules) Ending(expires, now time.Time) bool {
	return !expires.IsZero() && expires.Before(now.Add(r.MinRemaining))
}

// Judge says how what a secondary serves stands to what the primary does. What
// ends soon on both is no fault of the secondary's: no sync can renew it.
func (r SignatureRules) Judge(now time.Time, primary, served Signing) SignatureState {
	otherKeys := served.OtherKeys(primary)
	switch {
	case served.Mark == primary.Mark && !otherKeys:
		return SignaturesFresh
	case served.Expires.IsZero():
		return SignaturesMissing
	case r.Ending(served.Expires, now):
		return SignaturesExpiring
	case !otherKeys && justRolled(now, primary, served):
		return SignaturesRolling
	}
	return SignaturesDifferent
}

// justRolled reports whether the difference is the weekly roll alone, a few hours
// ago at most.
func justRolled(now time.Time, primary, served Signing) bool {
	roll := LastSignatureRoll(now)
	return now.Sub(roll) < rollSpread &&
		primary.Expires.Equal(roll.Add(signatureLife)) && served.Expires.Equal(primary.Expires.Add(-signatureWeek))
}

// FirstEnd returns the earlier of two ends of signatures; the zero time is none.
func FirstEnd(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// SignedZone is one line of the list that secondaries are compared with in the
// check of signatures.
type SignedZone struct {
	Zone    string  `json:"z"`
	Version int64   `json:"v"`
	Signing Signing `json:"s"`
}
