package activities_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// callSecondary asks the API of the secondary's PowerDNS.
func callSecondary(t *testing.T, method, path string, body any) {
	t.Helper()
	callAt(t, strings.Split(stack.Env("SECONDARY_API_URLS"), ",")[0], stack.Env("SECONDARY_API_KEY"), method, path, body)
}

// Zones of all sorts that somebody else made are taken over where that is asked
// for, and no others.
func TestForeignZonesAreAdopted(t *testing.T) {
	h := newHosts(t)
	theirs := map[string]func(zone string){
		"plain.adopt.example.":  func(string) {},
		"signed.adopt.example.": func(zone string) { callSecondary(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true}) },
		"meta.adopt.example.": func(zone string) {
			callSecondary(t, http.MethodPut, "/zones/"+zone+"/metadata/ALLOW-AXFR-FROM", map[string]any{"kind": "ALLOW-AXFR-FROM", "metadata": []string{"192.0.2.1"}})
		},
		"edited.adopt.example.": func(zone string) {
			callSecondary(t, http.MethodPut, "/zones/"+zone, map[string]any{"soa_edit": "INCEPTION-INCREMENT"})
		},
		"kept.adopt.example.": func(string) {},
		"own.adopt.example.":  func(string) {},
	}
	for zone, change := range theirs {
		callSecondary(t, http.MethodPost, "/zones", map[string]any{"name": zone, "kind": "Native", "nameservers": []string{"theirs." + zone}})
		change(zone)
		if zone == "own.adopt.example." {
			continue // the primary knows nothing of it
		}
		makeZone(t, zone)
		set(t, zone, 7, "ours")
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
	}
	attempts := 0
	adopt := func(in activities.ReconcileZonesInput) activities.ReconcileZonesResult {
		var result activities.ReconcileZonesResult
		var err error
		for attempts = 1; attempts <= 5; attempts++ { // PowerDNS on SQLite answers 500 now and then; Temporal tries again too
			if result, err = run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, in); err == nil {
				break
			}
		}
		require.NoError(t, err)
		return result
	}
	require.Equal(t, 5, adopt(activities.ReconcileZonesInput{}).Blocked)
	some := []string{"plain.adopt.example.", "signed.adopt.example.", "meta.adopt.example.", "edited.adopt.example.", "own.adopt.example.", "unknown.adopt.example."}
	result := adopt(activities.ReconcileZonesInput{Adopt: some})
	if attempts == 1 { // else some were taken over before the last attempt
		require.Equal(t, 4, result.Adopted)
	}
	require.Equal(t, 1, result.Blocked)
	for _, zone := range some[:4] {
		held, err := h.secondary.PowerDNS.Zone(t.Context(), zone)
		require.NoError(t, err)
		require.True(t, held.OwnedBy(pdns.Account, h.secondary.Master), "%+v", held)
		keys, err := h.secondary.Foreign.Keys(t.Context(), zone)
		require.NoError(t, err)
		require.Empty(t, keys, "they would sign our content anew")
		h.serves(t, zone, 7)
		requireTXT(t, h.secondary.DNSAddress, zone, "ours")
	}
	for _, zone := range []string{"kept.adopt.example.", "own.adopt.example."} {
		held, err := h.secondary.PowerDNS.Zone(t.Context(), zone)
		require.NoError(t, err)
		require.Equal(t, "Native", held.Kind)
	}
	require.Equal(t, []string{"kept.adopt.example.", "own.adopt.example."}, adopt(activities.ReconcileZonesInput{}).ForeignZones)
	all := adopt(activities.ReconcileZonesInput{AdoptAll: true})
	require.Equal(t, 1, all.Adopted)
	require.Zero(t, all.Blocked)
	require.Equal(t, []string{"own.adopt.example."}, all.ForeignZones)
	h.serves(t, "kept.adopt.example.", 7)
}

// noContent has versions, and nothing of what they say.
type noContent struct{ *versions.Store }

func (n noContent) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	newest, _, err := n.Store.Fetch(ctx, zone)
	return newest, nil, err
}

func (noContent) Open(context.Context, pdns.Version) (io.ReadCloser, error) {
	return nil, errors.New("no such object")
}

// A zone that must be made anew to be taken over stays until there is something to put in its place.
func TestAdoptWithoutContentDestroysNothing(t *testing.T) {
	h := newHosts(t)
	const zone = "signed.adopt.example."
	callSecondary(t, http.MethodPost, "/zones", map[string]any{"name": zone, "kind": "Native", "nameservers": []string{"theirs." + zone}})
	callSecondary(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
	makeZone(t, zone)
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	h.secondary.Versions = noContent{h.store}
	_, err = run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, activities.ReconcileZonesInput{AdoptAll: true})
	require.ErrorContains(t, err, "no such object")
	held, err := h.secondary.PowerDNS.Zone(t.Context(), zone)
	require.NoError(t, err)
	require.Equal(t, "Native", held.Kind)
}

// One whose applied version is above the newest is published anew first, and is foreign until then.
func TestAdoptOfAZoneThatWasAppliedInANewerVersion(t *testing.T) {
	h := newHosts(t)
	exporter := &fakeExporter{}
	h.secondary.Exporter = exporter
	const zone = "ahead.adopt.example."
	callSecondary(t, http.MethodPost, "/zones", map[string]any{"name": zone, "kind": "Native", "nameservers": []string{"theirs." + zone}})
	makeZone(t, zone)
	published, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	newer := published.Version
	newer.Version++
	require.NoError(t, h.secondary.Applied.Set(pdns.AppliedFrom(newer, time.Now())))
	result, err := run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, activities.ReconcileZonesInput{AdoptAll: true})
	require.NoError(t, err)
	require.Zero(t, result.Adopted)
	require.Equal(t, []string{zone}, result.ForeignZones)
	require.Equal(t, []string{zone}, exporter.zones)
}
