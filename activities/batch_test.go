package activities_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestABatchIsExportedAppliedAndVerified(t *testing.T) {
	h := newHosts(t)
	verifier := &activities.Verifier{DNS: h.secondary.DNS, Versions: h.store}
	var zones []string
	for i := range 20 {
		zone := fmt.Sprintf("z%02d.batch.example.", i)
		makeZone(t, zone)
		zones = append(zones, zone)
	}
	in := activities.ZonesInput{Zones: append([]string{"unknown.batch.example."}, zones...)}
	exported, err := run[activities.ZonesResult](h.primary, h.primary.ExportZones, in)
	require.NoError(t, err)
	require.Equal(t, map[string]int{activities.ExportPublished: 20, activities.ExportUnknown: 1}, exported.Outcomes)
	require.Equal(t, []string{"unknown.batch.example."}, exported.Alone)
	require.Equal(t, h.primary.Timing, exported.Timing)

	verify := func() activities.ZonesResult {
		result, err := run[activities.ZonesResult](verifier, verifier.VerifyZones, activities.VerifyZonesInput{
			Zones: in.Zones, Targets: []activities.Target{{ID: "secondary-1", DNSAddress: h.secondary.DNSAddress}, {ID: "silent", DNSAddress: "127.0.0.1:1"}},
		})
		require.NoError(t, err)
		return result
	}
	require.Equal(t, zones, verify().Alone, "before anything is applied")
	applied, err := run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, in)
	require.NoError(t, err)
	require.Equal(t, map[string]int{activities.AppliedNow: 20, activities.AppliedNone: 1}, applied.Outcomes)
	require.Empty(t, applied.Alone)
	require.Empty(t, verify().Alone)
	require.Equal(t, 20, verify().Outcomes[string(pdns.ServedSilent)])

	call(t, http.MethodDelete, "/zones/"+zones[0], nil)
	exported, err = run[activities.ZonesResult](h.primary, h.primary.ExportZones, in)
	require.NoError(t, err)
	require.Equal(t, 19, exported.Outcomes[activities.ExportUnchanged])
	require.Equal(t, 1, exported.Outcomes[activities.ExportPublished], "the tombstone")
	applied, err = run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, in)
	require.NoError(t, err)
	require.Equal(t, 1, applied.Outcomes[activities.AppliedDelete])
	require.Equal(t, 19, applied.Outcomes[activities.AppliedCurrent])
	require.Empty(t, verify().Alone)
}

// What was applied as it was published, moments ago, a batch does not look at again; anything else it does.
func TestABatchKnowsWhatWasJustApplied(t *testing.T) {
	h := newHosts(t)
	const zone = "just.batch.example."
	makeZone(t, zone)
	in := activities.ZonesInput{Zones: []string{zone}}
	exported, err := run[activities.ZonesResult](h.primary, h.primary.ExportZones, in)
	require.NoError(t, err)
	in.Versions = exported.Versions
	apply := func(in activities.ZonesInput) map[string]int {
		applied, err := run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, in)
		require.NoError(t, err)
		return applied.Outcomes
	}
	require.Equal(t, map[string]int{activities.AppliedNow: 1}, apply(in), "never had")
	asked := &countingVersions{Subscriber: h.secondary.Versions}
	h.secondary.Versions = asked
	require.Equal(t, map[string]int{activities.AppliedCurrent: 1}, apply(in))
	require.Zero(t, asked.count)

	require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), zone))
	forced := in
	forced.Force = true
	for _, doubtful := range []activities.ZonesInput{{Zones: in.Zones}, forced, {Zones: in.Zones, Versions: map[string]int64{zone: 1}}} {
		require.Equal(t, map[string]int{activities.AppliedNow: 1}, apply(doubtful), "%+v", doubtful)
		require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), zone))
	}
	state, known, err := h.secondary.Applied.Get(zone)
	require.NoError(t, err)
	require.True(t, known)
	state.AppliedAt = state.AppliedAt.Add(-time.Hour)
	require.NoError(t, h.secondary.Applied.Set(state))
	require.Equal(t, map[string]int{activities.AppliedNow: 1}, apply(in), "long ago")
}

// countingVersions counts the questions for newest versions.
type countingVersions struct {
	activities.Subscriber
	count int
}

func (c *countingVersions) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	c.count++
	return c.Subscriber.Fetch(ctx, zone)
}

func TestABatchIsTriedAgainAsAWhole(t *testing.T) {
	h := newHosts(t)
	broken := *h.primary
	broken.DNSAddress = "127.0.0.1:1"
	makeZone(t, "retried.batch.example.")
	_, err := run[activities.ZonesResult](&broken, broken.ExportZones, activities.ZonesInput{Zones: []string{"retried.batch.example."}})
	require.ErrorContains(t, err, "retried.batch.example.")
}

// A zone that PowerDNS deletes on SQLite while it deletes or makes another one fails now and then. The batch need not be tried again.
func TestABatchOfDeletesNeedsOneAttempt(t *testing.T) {
	h := newHosts(t)
	var old, zones []string
	for i := range 200 {
		old = append(old, fmt.Sprintf("z%03d.deleted.example.", i))
		zones = append(zones, old[i], fmt.Sprintf("z%03d.made.example.", i))
	}
	for _, zone := range old {
		makeZone(t, zone)
	}
	bring := func(zones []string, want map[string]int) {
		in := activities.ZonesInput{Zones: zones, Proxied: pdns.ProxiedDelete}
		exported, err := run[activities.ZonesResult](h.primary, h.primary.ExportZones, in)
		require.NoError(t, err)
		require.Equal(t, map[string]int{activities.ExportPublished: len(zones)}, exported.Outcomes)
		applied, err := run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, in)
		require.NoError(t, err)
		require.Equal(t, want, applied.Outcomes)
	}
	bring(old, map[string]int{activities.AppliedNow: len(old)})
	for i, zone := range old {
		call(t, http.MethodDelete, "/zones/"+zone, nil)
		makeZone(t, zones[2*i+1])
	}
	bring(zones, map[string]int{activities.AppliedDelete: len(old), activities.AppliedNow: len(old)})
}
