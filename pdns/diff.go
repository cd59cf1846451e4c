package pdns

import (
	"fmt"
	"maps"
	"slices"

	"github.com/miekg/dns"
)

// MaxDiffSize bounds, in octets of text, the RRsets of a [Diff]: it rides in the
// entry beside the content.
const MaxDiffSize = 8 << 10

// Diff says how the content of a version differs from that of the one before. Both are
// at hand, so that it is exact, other than a [Delta]: a secondary that stands at From
// needs no transfer, and whoever stands elsewhere takes the content.
type Diff struct {
	From DeltaStep `json:"from"`
	// Sets are the RRsets that differ, each as it is now, the SOA among them; those
	// that are gone come first and have no records.
	Sets []RRset `json:"sets"`
}

// AppliesTo reports whether the sets lead from what was applied to v.
func (d *Diff) AppliesTo(a Applied) bool {
	return d != nil && !a.Deleted && !a.Distrusted && d.From == DeltaStep{a.Version, a.Serial}
}

// Owners are the RRsets at each name (canonical) of a zone, by name and type.
type Owners map[string][]RRset

// Add notes one RRset. Each is to be added once.
func (o Owners) Add(name, rrtype string) {
	o[name] = append(o[name], RRset{Name: name, Type: rrtype})
}

// Unhinges says why PowerDNS must look at the whole zone where these RRsets change
// from what before lists to what after does; empty where nothing else depends on
// them: no delegation, no DNSSEC, no empty non-terminal that comes or goes.
func Unhinges(zone string, changed []RRsetName, before, after Owners) string {
	for _, set := range changed {
		apex := set.Name == zone && set.Type == "SOA"
		if why := Patchable(zone, set); why != "" && !apex {
			return why
		}
		for _, owners := range []Owners{before, after} {
			if why := alone(zone, set.Name, owners); why != "" {
				return why
			}
		}
		if (before[set.Name] == nil) != (after[set.Name] == nil) {
			if why := dangles(zone, set.Name, before, after); why != "" {
				return why
			}
		}
	}
	return ""
}

// alone says why a name cannot be changed by itself among these.
func alone(zone, name string, owners Owners) string {
	if why := Lone(zone, name, owners[name]); why != "" {
		return why
	}
	for _, above := range Between(zone, name) {
		if Delegates(owners[above]) {
			return fmt.Sprintf("%s is below a delegation at %s", name, above)
		}
	}
	if slices.ContainsFunc(owners[zone], func(s RRset) bool { return s.Type == "DNAME" }) {
		return fmt.Sprintf("%s is below a delegation at %s", name, zone)
	}
	return ""
}

// dangles says why a name that comes or goes makes or ends an empty non-terminal.
func dangles(zone, name string, before, after Owners) string {
	if above := Between(zone, name); len(above) > 0 && (before[above[0]] == nil || after[above[0]] == nil) {
		return fmt.Sprintf("%s comes or goes below %s, where nothing is", name, above[0])
	}
	for _, owners := range []Owners{before, after} {
		for below := range maps.Keys(owners) {
			if below != name && dns.IsSubDomain(name, below) {
				return fmt.Sprintf("%s comes or goes above %s", name, below)
			}
		}
	}
	return ""
}

// GoneFirst orders RRsets as they can be changed one after the other: a CNAME can
// only come where nothing else is left.
func GoneFirst(sets []RRset) {
	slices.SortStableFunc(sets, func(a, b RRset) int { return min(len(a.Records), 1) - min(len(b.Records), 1) })
}
