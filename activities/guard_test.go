package activities_test

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// announced keeps what Temporal would be told of holds.
type announced struct {
	mu      sync.Mutex
	holds   []string
	started map[string][]string
}

func (a *announced) AnnounceHold(_ context.Context, hold string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.holds = append(a.holds, hold)
	return nil
}

func (a *announced) StartApproved(_ context.Context, batch string, zones []string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.started == nil {
		a.started = make(map[string][]string)
	}
	a.started[batch] = zones
	return nil
}

// publishedZones makes zones on the primary and publishes them.
func publishedZones(t *testing.T, h hosts, n int) []string {
	t.Helper()
	var zones []string
	for i := range n {
		zone := fmt.Sprintf("z%02d.guard.example.", i)
		makeZone(t, zone)
		zones = append(zones, zone)
	}
	result := exportAll(t, h.primary, zones, pdns.NotProxied)
	require.Equal(t, n, result.Outcomes[activities.ExportPublished], "%+v", result)
	return zones
}

func exportAll(t *testing.T, p *activities.Primary, zones []string, proxied pdns.Proxied) activities.ZonesResult {
	t.Helper()
	result, err := run[activities.ZonesResult](p, p.ExportZones, activities.ZonesInput{Zones: zones, Proxied: proxied})
	require.NoError(t, err)
	return result
}

func requireNoTombstone(t *testing.T, h hosts, zones ...string) {
	t.Helper()
	for _, zone := range zones {
		newest, _, err := h.store.Newest(t.Context(), zone)
		require.NoError(t, err)
		require.False(t, newest.Deleted, "%s was deleted", zone)
	}
}

// lost deletes zones behind everybody's back.
func lost(t *testing.T, zones ...string) {
	t.Helper()
	for _, zone := range zones {
		call(t, http.MethodDelete, "/zones/"+zone, nil)
	}
}

func review(t *testing.T, p *activities.Primary, hold string) activities.HoldReview {
	t.Helper()
	result, err := run[activities.HoldReview](p, p.ReviewHold, activities.ReviewHoldInput{Hold: hold})
	require.NoError(t, err)
	return result
}

func decide(t *testing.T, p *activities.Primary, in activities.DecideHoldInput) int {
	t.Helper()
	result, err := run[activities.DecideHoldResult](p, p.DecideHold, in)
	require.NoError(t, err)
	return result.Decided
}

func TestAFewDeletesGoUnasked(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 24)
	lost(t, zones[0])
	local, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0], Local: true})
	require.NoError(t, err)
	require.Equal(t, activities.ExportElsewhere, local.Outcome, "the guard's lists take too long for a local activity")
	result, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0]})
	require.NoError(t, err)
	require.True(t, result.Version.Deleted)
	lost(t, zones[1:10]...)
	require.Equal(t, 9, exportAll(t, h.primary, zones[1:10], pdns.NotProxied).Outcomes[activities.ExportPublished])
	lost(t, zones[10])
	require.Equal(t, 1, exportAll(t, h.primary, zones[10:11], pdns.NotProxied).Outcomes[activities.ExportHeld], "an eleventh within the hour")
}

// A zone that was made again while the primaries were asked whether it is gone
// stays, and whoever asked starts over: it may never be gone again.
func TestAZoneMadeAgainMeanwhileStays(t *testing.T) {
	h := newHosts(t)
	zone := publishedZones(t, h, 1)[0]
	_, revision, err := h.store.Newest(t.Context(), zone)
	require.NoError(t, err)
	for _, proxied := range []pdns.Proxied{pdns.NotProxied, pdns.ProxiedDelete} {
		result, err := run[activities.ExportZoneResult](h.primary, h.primary.PublishTombstone,
			activities.PublishTombstoneInput{Zone: zone, Revision: revision, Proxied: proxied})
		require.NoError(t, err)
		require.Equal(t, activities.ExportGone, result.Outcome)
		require.Contains(t, result.Reason, "is on primary primary-1 again")
	}
	requireNoTombstone(t, h, zone)
}

func TestHalfOfTheZonesGoneAreHeldUntilApproved(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 24)
	half := zones[:12]
	lost(t, half...)
	one, err := export(h.primary, activities.ExportZoneInput{Zone: half[0]})
	require.NoError(t, err)
	require.Equal(t, activities.ExportHeld, one.Outcome, "the first is held like the last")
	require.Contains(t, one.Reason, "pdns-distribute approve deletes")
	require.Contains(t, one.Reason, "12 of 24 zones are gone")
	require.Equal(t, half[0], one.Version.Zone, "what was published stays the newest")
	for range 2 {
		result := exportAll(t, h.primary, half, pdns.NotProxied)
		require.Equal(t, map[string]int{activities.ExportHeld: 12}, result.Outcomes)
		require.Empty(t, result.Alone)
	}
	requireNoTombstone(t, h, half...)
	require.Equal(t, []string{"deletes", "deletes"}, h.announced.holds, "once for the first zone and once for the batch, however often it is exported")

	shown := review(t, h.primary, "deletes")
	require.Equal(t, 12, shown.Undecided)
	require.Equal(t, half, shown.Zones)
	for _, digest := range []string{"another", ""} {
		require.Zero(t, decide(t, h.primary, activities.DecideHoldInput{Hold: "deletes", Decision: pdns.Approved, Digest: digest}), "digest %q", digest)
	}
	require.Equal(t, map[string]int{activities.ExportHeld: 12}, exportAll(t, h.primary, half, pdns.NotProxied).Outcomes)

	for range 2 { // as a second attempt would
		require.Equal(t, 12, decide(t, h.primary, activities.DecideHoldInput{Hold: "deletes", Decision: pdns.Approved, Digest: shown.Digest}))
	}
	require.Equal(t, half, h.announced.started["approved-"+shown.Digest+"-0"])
	require.Equal(t, 12, review(t, h.primary, "deletes").Approved)
	require.Equal(t, map[string]int{activities.ExportPublished: 12}, exportAll(t, h.primary, half, pdns.NotProxied).Outcomes)
	require.Zero(t, review(t, h.primary, "deletes").Open)
	requireNoTombstone(t, h, zones[12:]...)
}

func TestWhatComesBackIsHeldNoMore(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 6)
	lost(t, zones[:4]...)
	require.Equal(t, 4, exportAll(t, h.primary, zones, pdns.NotProxied).Outcomes[activities.ExportHeld])
	shown := review(t, h.primary, "deletes")
	require.Equal(t, 4, decide(t, h.primary, activities.DecideHoldInput{Hold: "deletes", Decision: pdns.Rejected, Digest: shown.Digest}))
	rejected := exportAll(t, h.primary, zones, pdns.NotProxied)
	require.Equal(t, 4, rejected.Outcomes[activities.ExportHeld])
	require.Contains(t, rejected.Reason, "was rejected")
	require.Equal(t, 4, review(t, h.primary, "deletes").Rejected)

	makeZone(t, zones[0])
	again := review(t, h.primary, "deletes")
	require.Len(t, slices.Collect(maps.Values(h.announced.started)), 1, "a zone that is back is synced, which settles it")
	require.Equal(t, 4, again.Rejected)
	exportAll(t, h.primary, zones[:1], pdns.NotProxied)
	require.Equal(t, 3, review(t, h.primary, "deletes").Rejected)

	thought := review(t, h.primary, "deletes")
	require.Equal(t, 3, decide(t, h.primary, activities.DecideHoldInput{Hold: "deletes", Decision: pdns.Approved, Digest: thought.Digest}), "one may think again")
	require.Equal(t, 3, exportAll(t, h.primary, zones[1:4], pdns.NotProxied).Outcomes[activities.ExportPublished])
}

func TestAPICallsDeleteAtOnce(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 20)
	lost(t, zones...)
	require.Equal(t, 15, exportAll(t, h.primary, zones[:15], pdns.NotProxied).Outcomes[activities.ExportHeld], "a scan was quicker than the events")
	one, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0], Local: true, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.True(t, one.Version.Deleted)
	require.Equal(t, 19, exportAll(t, h.primary, zones[1:], pdns.ProxiedDelete).Outcomes[activities.ExportPublished])
	require.Zero(t, review(t, h.primary, "deletes").Open)
}

func TestAChangeByTheAPIIsNoDelete(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 4)
	lost(t, zones...)
	require.Equal(t, 4, exportAll(t, h.primary, zones, pdns.ProxiedChange).Outcomes[activities.ExportHeld])
}

func TestTooManyAPIDeletesAreHeld(t *testing.T) {
	h := newHosts(t)
	h.primary.Guard.Rules.MaxAPIDeletePerMinute = 3
	zones := publishedZones(t, h, 6)
	lost(t, zones[:5]...)
	require.Equal(t, 3, exportAll(t, h.primary, zones[:3], pdns.ProxiedDelete).Outcomes[activities.ExportPublished])
	held := exportAll(t, h.primary, zones[3:5], pdns.ProxiedDelete)
	require.Equal(t, 2, held.Outcomes[activities.ExportHeld])
	require.Contains(t, held.Reason, "guard.max_api_delete_per_minute")
}

func TestAShrinkingZoneIsHeld(t *testing.T) {
	h := newHosts(t)
	const zone = "shrinks.example."
	makeZone(t, zone)
	fill := func(serial uint32, records int) {
		var values []any
		for i := range records {
			values = append(values, map[string]any{"content": fmt.Sprintf(`"%d"`, i), "disabled": false})
		}
		set(t, zone, serial, "x")
		call(t, http.MethodPatch, "/zones/"+zone, map[string]any{"rrsets": []any{
			map[string]any{"name": "many." + zone, "type": "TXT", "ttl": 60, "changetype": "REPLACE", "records": values},
		}})
	}
	try := func(proxied pdns.Proxied) activities.ExportZoneResult {
		result, err := export(h.primary, activities.ExportZoneInput{Zone: zone, Proxied: proxied})
		require.NoError(t, err)
		return result
	}
	fill(1, 200)
	before := try(pdns.NotProxied)
	require.Equal(t, 203, before.Version.Plain)
	call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
	signed := try(pdns.NotProxied)
	require.Equal(t, 203, signed.Version.Plain)
	require.Greater(t, signed.Version.Records, 206)
	call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": false})
	require.Equal(t, activities.ExportPublished, try(pdns.NotProxied).Outcome, "un-signing is no shrink")

	fill(2, 50)
	held := try(pdns.NotProxied)
	require.Equal(t, activities.ExportHeld, held.Outcome)
	require.EqualValues(t, 1, held.Version.Serial)
	require.Contains(t, held.Reason, "shrinks from 203 records to 53")
	require.Equal(t, []string{"shrink/" + zone}, h.announced.holds)
	shown := review(t, h.primary, "shrink/"+zone)
	require.Equal(t, 1, decide(t, h.primary, activities.DecideHoldInput{Hold: "shrink/" + zone, Decision: pdns.Approved, Digest: shown.Digest}))
	fill(3, 10)
	require.Equal(t, activities.ExportHeld, try(pdns.NotProxied).Outcome, "another content was approved")
	shown = review(t, h.primary, "shrink/"+zone)
	require.Equal(t, 1, decide(t, h.primary, activities.DecideHoldInput{Hold: "shrink/" + zone, Decision: pdns.Approved, Digest: shown.Digest}))
	require.Equal(t, activities.ExportPublished, try(pdns.NotProxied).Outcome)
	require.Zero(t, review(t, h.primary, "shrink/"+zone).Open)

	fill(4, 200)
	try(pdns.NotProxied)
	fill(5, 50)
	require.Equal(t, activities.ExportPublished, try(pdns.ProxiedChange).Outcome, "somebody wanted it so")
}

func TestAnExcludedZoneIsDeletedWithinTheGuard(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 4)
	h.primary.Selection = pdns.Selection{Exclude: zones[:1]}
	confirmed, err := run[activities.ConfirmGoneResult](h.primary, h.primary.ConfirmGone, activities.ConfirmGoneInput{Zone: zones[0]})
	require.NoError(t, err)
	require.True(t, confirmed.Gone)
	require.True(t, func() bool {
		result, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0]})
		require.NoError(t, err)
		return result.Version.Deleted
	}())
	again, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0]})
	require.NoError(t, err)
	require.Equal(t, activities.ExportSkipped, again.Outcome)
	require.Contains(t, again.Reason, "zones.exclude")

	h.primary.Selection = pdns.Selection{Include: []string{"exampel."}} // a slip of the pen
	require.Equal(t, 3, exportAll(t, h.primary, zones[1:], pdns.NotProxied).Outcomes[activities.ExportHeld])
	h.primary.Selection = pdns.Selection{}
	require.Equal(t, map[string]int{activities.ExportUnchanged: 3, activities.ExportPublished: 1}, exportAll(t, h.primary, zones, pdns.NotProxied).Outcomes)
	require.Zero(t, review(t, h.primary, "deletes").Open)
}

// Zones of which nothing is published are counted like others, and what a person
// approved of them is found by an export that knows nothing of what is left over.
func TestLeftOverZonesAreHeldToo(t *testing.T) {
	h := newHosts(t)
	publishedZones(t, h, 2)
	orphans := []string{"a.left-over.example.", "b.left-over.example."}
	one, err := export(h.primary, activities.ExportZoneInput{Zone: orphans[0], LeftOver: true})
	require.NoError(t, err)
	require.True(t, one.Version.Deleted, "one of them may go")
	held, err := export(h.primary, activities.ExportZoneInput{Zone: orphans[1], LeftOver: true})
	require.NoError(t, err)
	require.Equal(t, activities.ExportHeld, held.Outcome)
	require.Zero(t, held.Version.Version)
	unknown := exportAll(t, h.primary, orphans[1:], pdns.NotProxied)
	require.Equal(t, map[string]int{activities.ExportUnknown: 1}, unknown.Outcomes, "nobody says that it is left over")

	shown := review(t, h.primary, "deletes")
	require.Equal(t, orphans[1:], shown.Zones)
	require.Equal(t, 1, decide(t, h.primary, activities.DecideHoldInput{Hold: "deletes", Decision: pdns.Approved, Digest: shown.Digest}))
	require.Equal(t, map[string]int{activities.ExportPublished: 1}, exportAll(t, h.primary, orphans[1:], pdns.NotProxied).Outcomes)
	require.Zero(t, review(t, h.primary, "deletes").Open)
}

// The first of many that are left over together, as after a loss of NATS and of a part of the primary's zones, is held like the last.
func TestManyLeftOverZonesAreHeldTogether(t *testing.T) {
	h := newHosts(t)
	publishedZones(t, h, 20)
	orphan := activities.ExportZoneInput{Zone: "a.left-over.example.", LeftOver: true, Together: 30}
	held, err := export(h.primary, orphan)
	require.NoError(t, err)
	require.Equal(t, activities.ExportHeld, held.Outcome)
	require.Contains(t, held.Reason, "30 of 20 zones")
	orphan.Together = 1
	still, err := export(h.primary, orphan)
	require.NoError(t, err)
	require.Equal(t, activities.ExportHeld, still.Outcome, "until a person has decided")
}

// A zone that a secondary still holds although nothing of it is published is deleted there, also where the primary keeps it to itself.
func TestAnExcludedZoneThatIsLeftOverIsDeleted(t *testing.T) {
	h := newHosts(t)
	const zone = "left.example."
	makeZone(t, zone)
	publishedZones(t, h, 3)
	excluded(t, h, zone)
	result, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportSkipped, result.Outcome)
	result, err = export(h.primary, activities.ExportZoneInput{Zone: zone, LeftOver: true})
	require.NoError(t, err)
	require.True(t, result.Version.Deleted, "%+v", result)
}
