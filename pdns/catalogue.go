package pdns

import (
	"cmp"
	"slices"
)

// Catalogued is one line of the catalogue: what every secondary must serve of
// a zone. Secondaries compare themselves with the catalogue; it is published
// once a check, so that nothing goes through Temporal zone by zone.
type Catalogued struct {
	Zone string `json:"z"`
	// Version is 0 for a zone that a primary holds and that was never
	// published: secondaries must not take theirs for left over.
	Version int64  `json:"v,omitempty"`
	Serial  uint32 `json:"s,omitempty"`
	Deleted bool   `json:"d,omitempty"`
}

// CataloguedFrom is the line of a zone whose newest version is v.
func CataloguedFrom(v Version) Catalogued {
	return Catalogued{Zone: v.Zone, Version: v.Version, Serial: v.Serial, Deleted: v.Deleted}
}

// Catalogue lists the newest versions and the zones that a primary holds besides,
// sorted by zone.
func Catalogue(newest map[string]Version, listed []Listed) []Catalogued {
	lines := make([]Catalogued, 0, max(len(newest), len(listed)))
	for _, v := range newest {
		lines = append(lines, CataloguedFrom(v))
	}
	for _, zone := range listed {
		if _, published := newest[zone.Zone]; !published {
			lines = append(lines, Catalogued{Zone: zone.Zone})
		}
	}
	return SortCatalogued(lines)
}

// SortCatalogued sorts lines by zone and leaves the newest of each.
func SortCatalogued(lines []Catalogued) []Catalogued {
	slices.SortFunc(lines, func(a, b Catalogued) int {
		return cmp.Or(cmp.Compare(a.Zone, b.Zone), cmp.Compare(b.Version, a.Version))
	})
	return slices.CompactFunc(lines, func(a, b Catalogued) bool { return a.Zone == b.Zone })
}

// Differences is how a secondary differs from the catalogue. Every list is
// sorted by zone; a zone is in one of them at most.
type Differences struct {
	// Missing lists zones that it does not hold.
	Missing []string
	// Outdated lists zones that it holds in an older state, Ahead in one that is
	// no older and another.
	Outdated, Ahead []string
	// LeftOver lists our zones that are deleted, Orphaned those of which nothing
	// was published and that no primary's list has: whether they are left over
	// is for the primaries to say.
	LeftOver, Orphaned []string
	// Foreign lists zones that must be served here, but the zone of that name is
	// not ours.
	Foreign []string
	// Right lists the zones that are held as they should be, of those to be
	// served.
	Right []string
}

// Wrong returns the zones that differ, sorted.
func (d Differences) Wrong() []string {
	wrong := slices.Concat(d.Missing, d.Outdated, d.Ahead, d.LeftOver, d.Orphaned, d.Foreign)
	slices.Sort(wrong)
	return wrong
}

// Again returns how the zones that differed stand by a later comparison. For the others
// it may be too early: what was published between the two is in none of their catalogues.
func (d Differences) Again(later Differences) Differences {
	wrong := d.Wrong()
	right := slices.Concat(d.Right, among(wrong, later.Right))
	slices.Sort(right)
	return Differences{
		Missing: among(wrong, later.Missing), Outdated: among(wrong, later.Outdated), Ahead: among(wrong, later.Ahead),
		LeftOver: among(wrong, later.LeftOver), Orphaned: among(wrong, later.Orphaned), Foreign: among(wrong, later.Foreign), Right: right,
	}
}

// Compare says how the secondary differs from the catalogue.
func (s *Side) Compare() Differences {
	var d Differences
	for i, want := range s.catalogue {
		d.add(want, s.zones[i])
	}
	for _, other := range s.others {
		if other.ours {
			d.Orphaned = append(d.Orphaned, other.zone)
		}
	}
	slices.Sort(d.Orphaned) // the others follow the catalogue's order
	return d
}

// add decides about one zone. The zero Applied means unknown.
func (d *Differences) add(want Catalogued, z sideZone) {
	switch {
	case want.Version == 0:
	case want.Deleted && z.here && z.held.Ours:
		d.LeftOver = append(d.LeftOver, want.Zone)
	case want.Deleted:
	case !z.here:
		d.Missing = append(d.Missing, want.Zone)
	case !z.held.Ours:
		d.Foreign = append(d.Foreign, want.Zone)
	case z.held.Serial == want.Serial && z.applied.Stands(want.Version):
		d.Right = append(d.Right, want.Zone)
	case z.applied.Version > want.Version, z.applied.Stands(want.Version) && SerialNewer(z.held.Serial, want.Serial):
		d.Ahead = append(d.Ahead, want.Zone)
	default:
		d.Outdated = append(d.Outdated, want.Zone)
	}
}
