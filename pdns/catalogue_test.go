package pdns_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestCatalogue(t *testing.T) {
	newest := map[string]pdns.Version{
		"b.": {Zone: "b.", Version: 5, Serial: 9, Signed: true},
		"a.": {Zone: "a.", Version: 6, Deleted: true},
	}
	require.Equal(t, []pdns.Catalogued{
		{Zone: "a.", Version: 6, Deleted: true}, {Zone: "b.", Version: 5, Serial: 9}, {Zone: "c."},
	}, pdns.Catalogue(newest, []pdns.Listed{{Zone: "c.", Serial: 3}, {Zone: "b.", Serial: 9}}))
}

func TestCompare(t *testing.T) {
	catalogue := []pdns.Catalogued{
		{Zone: "ahead.", Version: 5, Serial: 7},
		{Zone: "ahead-distrusted.", Version: 5, Serial: 7},
		{Zone: "applied-ahead.", Version: 5, Serial: 7},
		{Zone: "distrusted.", Version: 5, Serial: 7},
		{Zone: "foreign.", Version: 5, Serial: 7},
		{Zone: "gone.", Version: 5, Deleted: true},
		{Zone: "gone-foreign.", Version: 5, Deleted: true},
		{Zone: "left-over.", Version: 5, Deleted: true},
		{Zone: "missing.", Version: 5, Serial: 7},
		{Zone: "not-known.", Version: 5, Serial: 7},
		{Zone: "old-version.", Version: 5, Serial: 7},
		{Zone: "outdated.", Version: 5, Serial: 7},
		{Zone: "right.", Version: 5, Serial: 7},
		{Zone: "unpublished.", Version: 0},
		{Zone: "wrapped.", Version: 5, Serial: 1},
	}
	applied := map[string]pdns.AppliedBrief{"old-version.": {Version: 4}, "applied-ahead.": {Version: 6}}
	for _, zone := range []string{"ahead.", "foreign.", "missing.", "outdated.", "right.", "wrapped."} {
		applied[zone] = pdns.AppliedBrief{Version: 5}
	}
	for _, zone := range []string{"ahead-distrusted.", "distrusted."} {
		applied[zone] = pdns.AppliedBrief{Version: 5, Distrusted: true}
	}
	held := map[string]pdns.Held{"foreign.": {Serial: 7}, "gone-foreign.": {Serial: 7}, "its-own.": {}}
	for zone, serial := range map[string]uint32{
		"ahead.": 8, "ahead-distrusted.": 8, "distrusted.": 7, "applied-ahead.": 7, "left-over.": 7, "not-known.": 7, "old-version.": 7, "outdated.": 6, "right.": 7,
		"unpublished.": 7, "wrapped.": 4294967295, "orphaned.": 7, "another-orphan.": 7,
	} {
		held[zone] = pdns.Held{Serial: serial, Ours: true}
	}
	side := pdns.NewSide(pdns.SortCatalogued(catalogue))
	for zone, h := range held {
		side.Holds(zone, h)
	}
	for zone, a := range applied {
		a.Zone = zone
		side.HasApplied(a)
	}
	d := side.Compare()
	require.Equal(t, pdns.Differences{
		Missing:  []string{"missing."},
		Outdated: []string{"ahead-distrusted.", "distrusted.", "not-known.", "old-version.", "outdated.", "wrapped."},
		Ahead:    []string{"ahead.", "applied-ahead."},
		LeftOver: []string{"left-over."},
		Orphaned: []string{"another-orphan.", "orphaned."},
		Foreign:  []string{"foreign."},
		Right:    []string{"right."},
	}, d)
	require.Len(t, d.Wrong(), 13)
	require.IsIncreasing(t, d.Wrong())
}

// A later look is for what differed alone: for the other zones its catalogue may be too old.
func TestDifferencesAgain(t *testing.T) {
	first := pdns.Differences{
		Missing: []string{"came.", "deleted.", "missing."}, Outdated: []string{"outdated."}, Orphaned: []string{"orphaned.", "published."}, Right: []string{"b.", "right."},
	}
	later := pdns.Differences{
		Missing: []string{"missing."}, Ahead: []string{"right."}, Orphaned: []string{"new.", "orphaned."}, Outdated: []string{"b.", "outdated."}, Right: []string{"came.", "published."},
	}
	require.Equal(t, pdns.Differences{
		Missing: []string{"missing."}, Outdated: []string{"outdated."}, Ahead: []string{}, LeftOver: []string{}, Orphaned: []string{"orphaned."}, Foreign: []string{},
		Right: []string{"b.", "came.", "published.", "right."},
	}, normal(first.Again(later)))
}

// normal has empty lists in place of none.
func normal(d pdns.Differences) pdns.Differences {
	for _, list := range []*[]string{&d.Missing, &d.Outdated, &d.Ahead, &d.LeftOver, &d.Orphaned, &d.Foreign, &d.Right} {
		*list = append([]string{}, *list...)
	}
	return d
}

// What is published while it is listed may be listed twice.
func TestSortCatalogued(t *testing.T) {
	lines := []pdns.Catalogued{{Zone: "b.", Version: 1}, {Zone: "a.", Version: 1}, {Zone: "a.", Version: 2, Deleted: true}, {Zone: "b.", Version: 1}, {Zone: "a.", Version: 1}}
	require.Equal(t, []pdns.Catalogued{{Zone: "a.", Version: 2, Deleted: true}, {Zone: "b.", Version: 1}}, pdns.SortCatalogued(lines))
}

// With nothing in the catalogue nothing is known to be deleted: what is held is
// orphaned, and the primaries are asked.
func TestCompareWithAnEmptyCatalogueDeletesNothing(t *testing.T) {
	side := pdns.NewSide(nil)
	side.Holds("a.", pdns.Held{Ours: true})
	d := side.Compare()
	require.Equal(t, pdns.Differences{Orphaned: []string{"a."}}, d)
}
