package pdns

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Bounds of deltas. A longer chain is begun anew by a full export.
const (
	// MaxDeltaSteps is how many deltas may follow one full export.
	MaxDeltaSteps = 64
	// MaxDeltaSize bounds what they change in all, in octets of JSON: it rides in
	// the entry.
	MaxDeltaSize = 64 << 10
	// MaxDeltaNames is how many names one delta may look at.
	MaxDeltaNames = 64
)

// Delta says how a version differs from an older one, its base, whose content was
// read as a whole. What changed since the base stands in Sets; each of them is a
// whole RRset, so that they lead to the same content from the base and from
// every version between.
//
// A version with a Delta is unproven: it has no digest, since nobody has read the
// whole zone since. A full export proves or replaces it.
type Delta struct {
	// Base is the base's version number, Object what holds its content.
	//
	// It is not named in [Version.Object], since a reader that knows no deltas
	// would take it for this version's content; as it is, such a reader finds none.
	Base   int64  `json:"base"`
	Object string `json:"object"`
	// Chain lists the versions to which Sets may be applied, oldest first: the
	// base, and each delta from there to this version.
	Chain []DeltaStep `json:"chain"`
	// Sets are the RRsets that have changed since the base, the SOA among them.
	Sets []RRset `json:"sets"`
}

// DeltaStep is one version of a chain.
type DeltaStep struct {
	Version int64  `json:"version"`
	Serial  uint32 `json:"serial"`
}

// Unproven reports whether nobody has read the whole zone since v was published.
func (v Version) Unproven() bool { return v.Delta != nil }

// WithoutSets is v without what it changes, to be kept or handed on.
func (v Version) WithoutSets() Version {
	v.Diff = nil
	if v.Delta != nil {
		v.Delta = &Delta{Base: v.Delta.Base, Object: v.Delta.Object}
	}
	return v
}

// WithoutDelta is v for those who only need to know which version it is, such as
// workflows.
func (v Version) WithoutDelta() Version {
	v.Delta, v.Diff = nil, nil
	return v
}

// BaseVersion is enough of a delta's base to open its content.
func (v Version) BaseVersion() Version {
	return Version{Zone: v.Zone, Version: v.Delta.Base, Object: v.Delta.Object}
}

// Holds reports whether v's content, or what it is made of, is in this object.
func (v Version) Holds(object string) bool {
	return object != "" && (v.Object == object || v.Delta != nil && v.Delta.Object == object)
}

// AppliesTo reports whether Sets may be applied where a was applied.
func (d *Delta) AppliesTo(a Applied) bool {
	return !a.Deleted && !a.Distrusted && slices.Contains(d.Chain, DeltaStep{a.Version, a.Serial})
}

// Since returns the RRsets that have changed after a version of the chain, those
// to be removed first, see [GoneFirst].
func (d *Delta) Since(version int64) []RRset {
	sets := slices.DeleteFunc(slices.Clone(d.Sets), func(set RRset) bool { return set.Version <= version })
	GoneFirst(sets)
	return sets
}

// HasBase says why no delta can follow v on this primary; empty when one can.
func (v Version) HasBase(primary string) string {
	switch {
	case v.Publisher != primary:
		return "another primary published the last version"
	case v.Deleted:
		return "the zone was deleted"
	case v.Signed:
		return "the zone is signed"
	case v.Delta == nil && v.Object == "":
		return "the zone is small"
	case v.Delta != nil && len(v.Delta.Chain) >= MaxDeltaSteps:
		return "enough deltas have followed the last full export"
	}
	return ""
}

// Follow is the delta version that follows v with these RRsets, the SOA among
// them, under number. v must have a base.
func (v Version) Follow(number int64, serial uint32, sets []RRset) (Version, error) {
	delta := &Delta{Base: v.Version, Object: v.Object}
	if v.Delta != nil {
		delta = &Delta{Base: v.Delta.Base, Object: v.Delta.Object, Chain: slices.Clone(v.Delta.Chain), Sets: slices.Clone(v.Delta.Sets)}
	}
	delta.Chain = append(delta.Chain, DeltaStep{v.Version, v.Serial})
	for _, set := range sets {
		set.Version = number
		delta.Sets = slices.DeleteFunc(delta.Sets, func(old RRset) bool { return old.Is(set.Name, set.Type) })
		delta.Sets = append(delta.Sets, set)
	}
	if text, err := json.Marshal(delta); err != nil || len(text) > MaxDeltaSize {
		return Version{}, errors.Join(err, fmt.Errorf("the deltas since the last full export are larger than %d octets", MaxDeltaSize))
	}
	next := v
	next.Version, next.Serial, next.Digest, next.Size, next.Object, next.Delta = number, serial, "", 0, "", delta
	next.Diff = nil
	return next, nil
}

// SerialMoved compares a serial with that of the last version, from which n API
// calls should have led to it.
type SerialMoved int

// What it finds.
const (
	// MovedOtherwise: by something else too, or in a way that does not tell.
	MovedOtherwise SerialMoved = iota
	// MovedByThese: by exactly these calls.
	MovedByThese
	// MovedFurther: by these calls, it may be, and by more.
	MovedFurther
)

// SerialAfter tells how a serial moved with n API calls. PowerDNS moves it with
// each call as the zone's SOA-EDIT-API says (ws-auth.cc, serialtweaker.cc); EPOCH
// and SOA-EDIT do not count calls. now is by the clock and time zone of its host.
func SerialAfter(last, serial uint32, n int, soaEditAPI string, now time.Time) SerialMoved {
	want := last + uint32(n)
	switch strings.ToUpper(soaEditAPI) {
	case "INCREASE", "SOA-EDIT-INCREASE":
	case "DEFAULT":
		// The first call of a day moves it to YYYYMMDD01 where that is more.
		year, month, day := now.Date()
		first := uint32(year*1_000_000 + int(month)*10_000 + day*100 + 1)
		if first > last {
			want = first + uint32(n) - 1
		}
	default:
		return MovedOtherwise
	}
	switch {
	case n > 0 && serial == want:
		return MovedByThese
	case n > 0 && SerialNewer(serial, want):
		return MovedFurther
	}
	return MovedOtherwise
}

// patchable are the types that can be changed alone: they neither delegate nor
// prove anything, and PowerDNS hands them out as they are kept.
var patchable = map[string]bool{
	"A": true, "AAAA": true, "CAA": true, "CNAME": true, "HINFO": true, "HTTPS": true, "MX": true, "NAPTR": true, "PTR": true, "SPF": true,
	"SRV": true, "SSHFP": true, "SVCB": true, "TLSA": true, "TXT": true, "URI": true,
}

// Patchable says why an RRset of that name and type cannot be changed alone; empty
// when it can.
func Patchable(zone string, set RRsetName) string {
	switch {
	case !patchable[set.Type]:
		return fmt.Sprintf("an RRset of type %s changes", set.Type)
	case !dns.IsSubDomain(zone, set.Name):
		return "a name outside the zone changes"
	}
	return ""
}

// Lone says why RRsets at this name, other than the zone's own, cannot be changed
// alone where these stand there; empty when they can.
func Lone(zone, name string, sets []RRset) string {
	for _, set := range sets {
		atTop := name == zone && (set.Type == "SOA" || set.Type == "NS")
		if !atTop && !patchable[set.Type] {
			return fmt.Sprintf("%s has an RRset of type %s", name, set.Type)
		}
	}
	return ""
}

// Delegates reports whether what is below a name with these RRsets is another
// zone's, or another name's.
func Delegates(sets []RRset) bool {
	return slices.ContainsFunc(sets, func(s RRset) bool { return s.Type == "NS" || s.Type == "DNAME" })
}

// Between lists the names above name and below zone, nearest first.
func Between(zone, name string) []string {
	var names []string
	if name == zone {
		return nil
	}
	for off, end := dns.NextLabel(name, 0); !end; off, end = dns.NextLabel(name, off) {
		if above := name[off:]; above == zone {
			break
		} else if dns.IsSubDomain(zone, above) {
			names = append(names, above)
		}
	}
	return names
}
