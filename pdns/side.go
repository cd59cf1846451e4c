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

// Side is one secondary's side of a comparison: what it holds and has applied of the
// zones of a catalogue, and what it holds besides. It is in memory for 100,000 zones at
// once, so it holds no name that the catalogue has.
type Side struct {
	catalogue []Catalogued
	// zones stand in the order of the catalogue.
	zones []sideZone
	// others are held and not in the catalogue.
	others []otherZone
}

type sideZone struct {
	applied AppliedBrief
	held    Held
	here    bool
}

type otherZone struct {
	zone string
	ours bool
}

// NewSide returns the side of a secondary that holds nothing of a catalogue, which must
// be sorted by zone, each once.
func NewSide(catalogue []Catalogued) *Side {
	return &Side{catalogue: catalogue, zones: make([]sideZone, len(catalogue))}
}

// Holds notes that the secondary's PowerDNS holds a zone.
func (s *Side) Holds(zone string, h Held) {
	if at, listed := FindCatalogued(s.catalogue, zone); listed {
		s.zones[at].held, s.zones[at].here = h, true
		return
	}
	s.others = append(s.others, otherZone{strings.Clone(zone), h.Ours})
}

// HasApplied notes what the secondary has applied of a zone.
func (s *Side) HasApplied(a AppliedBrief) {
	if at, listed := FindCatalogued(s.catalogue, a.Zone); listed {
		a.Zone = s.catalogue[at].Zone
		s.zones[at].applied = a
	}
}

// FindCatalogued returns where a catalogue has the zone.
func FindCatalogued(catalogue []Catalogued, zone string) (at int, listed bool) {
	return slices.BinarySearchFunc(catalogue, zone, func(line Catalogued, zone string) int { return strings.Compare(line.Zone, zone) })
}
