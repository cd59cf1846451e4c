package pdns

import "slices"

// Plan is what brings one secondary to the newest versions. Every list is
// sorted by zone.
type Plan struct {
	// Apply lists the zones that are missing, outdated or whose applied
	// version is not known to be the newest.
	Apply []string
	// Missing lists those of Apply that are not held.
	Missing []string
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

// Plan says what brings the secondary to a catalogue of the newest versions. It deletes
// only what a tombstone names, never what is absent: a failed read looks just like an
// empty list.
func (s *Side) Plan() Plan {
	var plan Plan
	for i, want := range s.catalogue {
		plan.add(want, s.zones[i])
	}
	for _, other := range s.others {
		if other.ours {
			plan.Unknown = append(plan.Unknown, other.zone)
		} else {
			plan.Foreign = append(plan.Foreign, other.zone)
		}
	}
	slices.Sort(plan.Foreign) // the others follow the catalogue's order
	slices.Sort(plan.Unknown)
	return plan
}

// add decides about one published zone. The zero Applied means unknown.
func (p *Plan) add(v Catalogued, z sideZone) {
	foreign := z.here && !z.held.Ours
	if foreign {
		p.Foreign = append(p.Foreign, v.Zone)
	}
	switch {
	case foreign && !v.Deleted:
		p.Blocked++
	case v.Deleted && z.here && z.held.Ours:
		p.Delete = append(p.Delete, v.Zone)
	case v.Deleted, z.here && z.held.Serial == v.Serial && z.applied.Stands(v.Version):
		p.Current++
	default:
		p.Apply = append(p.Apply, v.Zone)
		if !z.here {
			p.Missing = append(p.Missing, v.Zone)
		}
	}
}
