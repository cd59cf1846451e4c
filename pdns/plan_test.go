package pdns

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlan(t *testing.T) {
	version := func(zone string, number int64, serial uint32) Catalogued {
		return Catalogued{Zone: zone, Version: number, Serial: serial}
	}
	tombstone := func(zone string) Catalogued { return Catalogued{Zone: zone, Version: 9, Deleted: true} }
	ours := func(serial uint32) Held { return Held{Serial: serial, Ours: true} }
	for _, test := range []struct {
		name    string
		newest  []Catalogued
		held    map[string]Held
		applied map[string]AppliedBrief
		want    Plan
	}{
		{name: "nothing anywhere"},
		{name: "missing", newest: []Catalogued{version("b.", 1, 1), version("a.", 1, 1)}, want: Plan{Apply: []string{"a.", "b."}, Missing: []string{"a.", "b."}}},
		{
			name: "current", newest: []Catalogued{version("a.", 1, 7)}, held: map[string]Held{"a.": ours(7)},
			applied: map[string]AppliedBrief{"a.": {Version: 1}}, want: Plan{Current: 1},
		},
		{name: "state lost: compare", newest: []Catalogued{version("a.", 1, 7)}, held: map[string]Held{"a.": ours(7)}, want: Plan{Apply: []string{"a."}}},
		{
			name: "newer version at an equal serial", newest: []Catalogued{version("a.", 2, 7)}, held: map[string]Held{"a.": ours(7)},
			applied: map[string]AppliedBrief{"a.": {Version: 1}}, want: Plan{Apply: []string{"a."}},
		},
		{
			name: "distrusted", newest: []Catalogued{version("a.", 1, 7)}, held: map[string]Held{"a.": ours(7)},
			applied: map[string]AppliedBrief{"a.": {Version: 1, Distrusted: true}}, want: Plan{Apply: []string{"a."}},
		},
		{
			name: "PowerDNS lost what was applied", newest: []Catalogued{version("a.", 1, 7)}, held: map[string]Held{"a.": ours(6)},
			applied: map[string]AppliedBrief{"a.": {Version: 1}}, want: Plan{Apply: []string{"a."}},
		},
		{
			name: "PowerDNS lost the zone", newest: []Catalogued{version("a.", 1, 7)},
			applied: map[string]AppliedBrief{"a.": {Version: 1}}, want: Plan{Apply: []string{"a."}, Missing: []string{"a."}},
		},
		{name: "tombstone", newest: []Catalogued{tombstone("a."), tombstone("b.")}, held: map[string]Held{"a.": ours(1)}, want: Plan{Delete: []string{"a."}, Current: 1}},
		{name: "tombstone of a foreign zone", newest: []Catalogued{tombstone("a.")}, held: map[string]Held{"a.": {}}, want: Plan{Foreign: []string{"a."}, Current: 1}},
		{name: "foreign", newest: []Catalogued{version("a.", 1, 1)}, held: map[string]Held{"b.": {}, "a.": {}}, want: Plan{Foreign: []string{"a.", "b."}, Blocked: 1}},
		{name: "an empty list deletes nothing", held: map[string]Held{"a.": ours(1), "b.": ours(1)}, want: Plan{Unknown: []string{"a.", "b."}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, sideOf(test.newest, test.held, test.applied).Plan())
		})
	}
}

func sideOf(catalogue []Catalogued, held map[string]Held, applied map[string]AppliedBrief) *Side {
	side := NewSide(SortCatalogued(catalogue))
	for zone, h := range held {
		side.Holds(zone, h)
	}
	for zone, a := range applied {
		a.Zone = zone
		side.HasApplied(a)
	}
	return side
}
