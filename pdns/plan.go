package pdns

import (
	"slices"
	"strings"
)

// Held is a zone that a secondary's PowerDNS holds.
type Held struct {
	Serial uint32
	// Ours says that we created it, see [Account].
	Ours bool
}

// Plan is what brings one secondary to the newest versions. Every list is
// sorted by zone.
type Plan struct {
	// Apply lists the zones that are missing, outdated or whose applied
	// version is not known to be the newest.
	Apply []string
	// Delete lists our zones whose newest version is a tombstone.
	Delete []string
	// Foreign lists zones that are held here but are not ours, whether a
	// zone of the name is distributed or not; they stay untouched.
	Foreign []string
	// Blocked counts those of Foreign that stand in the way of a published
	// version. The others are no fault: a secondary may have zones of its own.
	Blocked int
	// Unknown lists our zones of which no version is published. They stay:
	// absence in a bucket never deletes.
	Unknown []string
	// Current counts the zones with nothing to do.
	Current int
}

// PlanReconcile compares the newest versions with what a secondary holds and
// has applied. It deletes only what a tombstone names, never what is absent:
// a failed read looks just like an empty list.
func PlanReconcile(newest []Catalogued, held map[string]Held, applied map[string]AppliedBrief) Plan {
	var plan Plan
	published := make(map[string]bool, len(newest))
	for _, v := range newest {
		published[v.Zone] = true
		plan.add(v, held, applied[v.Zone])
	}
	for zone, h := range held {
		switch {
		case !h.Ours:
			plan.Foreign = append(plan.Foreign, zone)
		case !published[zone]:
			plan.Unknown = append(plan.Unknown, zone)
		}
	}
	for _, list := range [][]string{plan.Apply, plan.Delete, plan.Foreign, plan.Unknown} {
		slices.SortFunc(list, strings.Compare)
	}
	return plan
}

// add decides about one published zone. The zero Applied means unknown.
func (p *Plan) add(v Catalogued, held map[string]Held, applied AppliedBrief) {
	h, here := held[v.Zone]
	switch {
	case here && !h.Ours && !v.Deleted:
		p.Blocked++
	case v.Deleted && here && h.Ours:
		p.Delete = append(p.Delete, v.Zone)
	case v.Deleted, here && h.Serial == v.Serial && applied.Stands(v.Version):
		p.Current++
	default:
		p.Apply = append(p.Apply, v.Zone)
	}
}
