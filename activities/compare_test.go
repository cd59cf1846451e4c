package activities_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// compare has the secondary compare itself with a catalogue of these versions.
func compare(t *testing.T, h hosts, newest map[string]pdns.Version, listed ...pdns.Listed) activities.CompareZonesResult {
	t.Helper()
	name, err := h.store.PublishList(t.Context(), "catalogue", pdns.Catalogue(newest, listed))
	require.NoError(t, err)
	result, err := run[activities.CompareZonesResult](h.secondary, h.secondary.CompareZones, activities.CompareZonesInput{Catalogue: name})
	require.NoError(t, err)
	return result
}

// served exports a zone and brings it to the secondary.
func served(t *testing.T, h hosts, zone string) pdns.Version {
	t.Helper()
	makeZone(t, zone)
	exported, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	_, err = apply(h.secondary, zone)
	require.NoError(t, err)
	return exported.Version
}

func TestCompareFindsWhatBecameWrongOnASecondary(t *testing.T) {
	h := newHosts(t)
	newest := map[string]pdns.Version{}
	for _, zone := range []string{"right.compare.", "lost.compare.", "kept.compare."} {
		newest[zone] = served(t, h, zone)
	}
	require.Equal(t, activities.CompareZonesResult{Zones: 3, Right: 3, Asked: 3}, compare(t, h, newest))

	require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), "lost.compare."))
	require.NoError(t, h.secondary.PowerDNS.CreateSecondaryZone(t.Context(), "orphan.compare.", h.secondary.Master, pdns.Account))
	require.NoError(t, h.secondary.PowerDNS.CreateSecondaryZone(t.Context(), "theirs.compare.", "127.0.0.1:9", ""))
	require.NoError(t, h.secondary.PowerDNS.CreateSecondaryZone(t.Context(), "waiting.compare.", h.secondary.Master, pdns.Account))
	result := compare(t, h, newest, pdns.Listed{Zone: "waiting.compare."})
	require.Equal(t, activities.CompareZonesResult{
		Zones: 3, Right: 2, Asked: 2, Missing: 1, LeftOver: 1,
		Names: []string{"lost.compare. missing", "orphan.compare. left over"}, OrphanedZones: []string{"orphan.compare."}, Orphaned: 1,
	}, result, "a zone of its own is no fault, one that the primary holds is no orphan")
}

// A catalogue ages: what was synced since is no difference.
func TestCompareLooksAtDifferencesOnceMore(t *testing.T) {
	h := newHosts(t)
	const zone = "synced.compare."
	before := served(t, h, zone)
	set(t, zone, 4242, "changed since")
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	_, err = apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.CompareZonesResult{Zones: 1, Right: 1, Asked: 1}, compare(t, h, map[string]pdns.Version{zone: before}))
}

// Without its catalogue a compare fails; nothing is in sync for want of a list.
func TestCompareWithoutItsCatalogueFails(t *testing.T) {
	h := newHosts(t)
	_, err := run[activities.CompareZonesResult](h.secondary, h.secondary.CompareZones, activities.CompareZonesInput{Catalogue: "=list/catalogue/none"})
	require.ErrorContains(t, err, "secondary-1")
	require.ErrorContains(t, err, "=list/catalogue/none")
}

// A zone that was made since the catalogue was is not left over.
func TestCompareKnowsWhatWasPublishedSince(t *testing.T) {
	h := newHosts(t)
	served(t, h, "since.compare.")
	require.Equal(t, activities.CompareZonesResult{Zones: 1, Right: 1, Asked: 1}, compare(t, h, nil))
}
