package activities_test

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
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

// In an import, zones are brought one after the other: those that are on their way are
// no difference, nor are those that come between two looks.
func TestCompareWaitsForWhatIsOnItsWay(t *testing.T) {
	h := newHosts(t)
	newest, zones := map[string]pdns.Version{}, []string{}
	for i := range 25 {
		zone := fmt.Sprintf("n%02d.coming.compare.", i)
		makeZone(t, zone)
		exported, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
		newest[zone], zones = exported.Version, append(zones, zone)
	}
	looks := 0
	h.secondary.PowerDNS = watchedLists{h.secondary.PowerDNS, func() {
		switch looks++; looks {
		case 2:
			served(t, h, "another.coming.compare.")
		case 3:
			for _, zone := range zones[1:] {
				_, err := apply(h.secondary, zone)
				require.NoError(t, err)
			}
		}
	}}
	require.Equal(t, activities.CompareZonesResult{
		Zones: 25, Right: 24, Asked: 24, Missing: 1, Names: []string{"n00.coming.compare. missing"},
	}, compare(t, h, newest))
	require.Equal(t, 3, looks)
}

// Where many zones differ, such as after a long repair with the same catalogue, they are
// looked at again as well.
func TestCompareLooksAtManyDifferencesOnceMore(t *testing.T) {
	h := newHosts(t)
	before := map[string]pdns.Version{}
	for i := range 1001 {
		v := pdns.Version{Zone: fmt.Sprintf("n%04d.many.compare.", i), Version: 2, Deleted: true}
		_, err := h.store.Publish(t.Context(), v, nil, 0)
		require.NoError(t, err)
		v.Version, v.Deleted = 1, false
		before[v.Zone] = v
	}
	require.Equal(t, activities.CompareZonesResult{}, compare(t, h, before), "all were deleted since")
}

// watchedLists calls back before zones are listed.
type watchedLists struct {
	activities.SecondaryPowerDNS
	before func()
}

func (l watchedLists) Zones(ctx context.Context) iter.Seq2[api.Zone, error] {
	l.before()
	return l.SecondaryPowerDNS.Zones(ctx)
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
