package activities_test

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// fakeExporter notes what was to be exported above which version.
type fakeExporter struct {
	zones []string
	above int64
}

func (f *fakeExporter) ExportAbove(_ context.Context, zones []string, above int64) error {
	f.zones, f.above = zones, above
	return nil
}

func reconcile(t *testing.T, h hosts, in activities.ReconcileZonesInput) activities.ReconcileZonesResult {
	t.Helper()
	result, err := run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, in)
	require.NoError(t, err)
	return result
}

// publishZones publishes zones that the secondary has not got yet.
func publishZones(t *testing.T, h hosts, zones int) {
	t.Helper()
	for i := range zones {
		zone := fmt.Sprintf("z%d.reconcile.", i)
		makeZone(t, zone)
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
	}
}

// reconcileAll reconciles to the end: what SQLite refuses, while something else is written, is left to the next piece.
func reconcileAll(t *testing.T, h hosts) (all activities.ReconcileZonesResult) {
	t.Helper()
	for more := true; more; more = all.Remaining > 0 {
		all.Add(reconcile(t, h, activities.ReconcileZonesInput{}))
	}
	return all
}

func TestReconcileBringsWhatIsMissingAndDeletesOnlyTombstones(t *testing.T) {
	h := newHosts(t)
	zones := []string{"one.example.", "two.example.", "three.example."}
	for _, zone := range zones {
		makeZone(t, zone)
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
	}
	require.Equal(t, 3, reconcileAll(t, h).Applied)
	require.Equal(t, 3, reconcileAll(t, h).Current)

	call(t, http.MethodDelete, "/zones/"+zones[0], nil)
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0]})
	require.NoError(t, err)
	require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), zones[1]), "somebody deleted it by hand")
	result := reconcileAll(t, h)
	require.Equal(t, 1, result.Deleted, "%+v", result)
	require.Equal(t, 1, result.Applied, "%+v", result)
	requireTXT(t, h.secondary.DNSAddress, zones[1], "first")
}

// A piece goes on where the last one ended, without another look at all lists; one
// whose worker died in between compares anew. Either way all is there in the end.
func TestReconcileGoesOnWhereItEnded(t *testing.T) {
	for _, died := range []bool{false, true} {
		t.Run(fmt.Sprintf("worker died: %t", died), func(t *testing.T) {
			h := newHosts(t)
			const zones = 40
			publishZones(t, h, zones)
			var all activities.ReconcileZonesResult
			pieces := 0
			for remaining := 1; remaining > 0; pieces++ {
				if died {
					h.secondary = h.again()
				}
				piece := reconcile(t, h, activities.ReconcileZonesInput{Compare: "run/1", Within: time.Millisecond})
				remaining = piece.Remaining
				all.Add(piece)
			}
			require.Greater(t, pieces, 1, "the zones were brought in one piece")
			require.Equal(t, zones, all.Applied)
			after := reconcile(t, h, activities.ReconcileZonesInput{Compare: "run/2"})
			require.Equal(t, zones, after.Current)
		})
	}
}

// Where the bucket is older than what this secondary has applied, as after a
// restored backup, a fresh export is asked for, above all that was applied.
func TestReconcileHasWhatIsAheadExportedAgain(t *testing.T) {
	h := newHosts(t)
	ahead := &fakeExporter{}
	h.secondary.Exporter = ahead
	publishZones(t, h, 3)
	var highest int64
	for i := range 2 {
		v, _, err := h.store.Newest(t.Context(), fmt.Sprintf("z%d.reconcile.", i))
		require.NoError(t, err)
		v.Version += int64(1000 * (i + 1))
		highest = v.Version
		require.NoError(t, h.secondary.Applied.Set(pdns.AppliedFrom(v, time.Now())))
	}
	result := reconcile(t, h, activities.ReconcileZonesInput{})
	require.Equal(t, 2, result.Ahead)
	require.Equal(t, 1, result.Applied)
	require.ElementsMatch(t, []string{"z0.reconcile.", "z1.reconcile."}, ahead.zones)
	require.Equal(t, highest, ahead.above)
}

// again is the secondary's worker after it was started again: it has forgotten
// what it was doing.
func (h hosts) again() *activities.Secondary {
	s := h.secondary
	return &activities.Secondary{
		ID: s.ID, DNSAddress: s.DNSAddress, Master: s.Master, PowerDNS: s.PowerDNS, DNS: s.DNS, Signing: s.Signing,
		Transfer: s.Transfer, Versions: s.Versions, Applied: s.Applied, Catalogues: s.Catalogues,
	}
}

// lookedAt counts the zones that the local PowerDNS is asked about, and leaves one out of its list.
type lookedAt struct {
	activities.SecondaryPowerDNS
	count  int
	hidden string
}

func (l *lookedAt) Zone(ctx context.Context, zone string) (api.Zone, error) {
	l.count++
	return l.SecondaryPowerDNS.Zone(ctx, zone)
}

func (l *lookedAt) Zones(ctx context.Context) iter.Seq2[api.Zone, error] {
	return func(yield func(api.Zone, error) bool) {
		for z, err := range l.SecondaryPowerDNS.Zones(ctx) {
			if z.Name != l.hidden && !yield(z, err) {
				return
			}
		}
	}
}

// Zones that PowerDNS has lost are made at once: that they are missing was seen in its list. One
// that came meanwhile is looked at.
func TestZonesThatPowerDNSLost(t *testing.T) {
	h := newHosts(t)
	const lost, came = "lost.example.", "came.example."
	for _, zone := range []string{lost, came} {
		h.brought(t, zone)
	}
	require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), lost))
	set(t, came, 8, "newer")
	_, err := export(h.primary, activities.ExportZoneInput{Zone: came})
	require.NoError(t, err)
	registry := prometheus.NewRegistry()
	h.secondary.Metrics = activities.NewSecondaryMetrics(registry)
	looked := &lookedAt{SecondaryPowerDNS: h.secondary.PowerDNS, hidden: came}
	h.secondary.PowerDNS = looked
	result := reconcile(t, h, activities.ReconcileZonesInput{})
	require.Equal(t, 2, result.Applied)
	require.Equal(t, 1, looked.count)
	counted := counters(t, registry)
	require.InDelta(t, 2, counted["pdnsdist_reconciled_zones_total applied"], 0)
	require.InDelta(t, 0, counted["pdnsdist_reconciled_zones_total failed"], 0)
	require.InDelta(t, 1, counted["pdnsdist_reconciles_total in-sync"], 0)
	for _, zone := range []string{lost, came} {
		equalContent(t, h, zone)
	}
}

// counters are the counters of a registry, by name and the value of their label.
func counters(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	require.NoError(t, err)
	values := make(map[string]float64)
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			for _, label := range metric.GetLabel() {
				values[family.GetName()+" "+label.GetValue()] = metric.GetCounter().GetValue()
			}
		}
	}
	return values
}
