package activities_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// A zone that a secondary never had is made with its content in one call where text can carry it; else it is transferred. Either
// way it then holds what the primary does, and the next change is transferred.
func TestNewZones(t *testing.T) {
	for number, backend := range []string{"SQLite", "LMDB"} {
		for _, test := range []struct {
			name    string
			naptr   bool
			signed  bool
			whole   bool
			records int
		}{
			{name: "plain", whole: true},
			{name: "type that goes by transfer", naptr: true},
			{name: "signed", signed: true},
			{name: "many records", records: 1100},
		} {
			t.Run(backend+"/"+test.name, func(t *testing.T) {
				h := newHostsWith(t, number)
				const zone = "whole.create."
				makeZone(t, zone)
				if test.naptr {
					call(t, http.MethodPatch, "/zones/"+zone, map[string]any{"rrsets": []any{rrset("naptr."+zone, "NAPTR", `100 50 "s" "SIP+D2U" "" _sip.example.net.`)}})
				}
				if test.records > 0 {
					var sets []any
					for i := range test.records {
						sets = append(sets, rrset(fmt.Sprintf("h%d.%s", i, zone), "A", "192.0.2.1"))
					}
					call(t, http.MethodPatch, "/zones/"+zone, map[string]any{"rrsets": sets})
				}
				if test.signed {
					call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
				}
				_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
				require.NoError(t, err)
				result, err := apply(h.secondary, zone)
				require.NoError(t, err)
				require.Equal(t, activities.AppliedNow, result.Outcome)
				checked := func() bool { // PowerDNS notes that a little after it serves what it was sent
					held, err := h.secondary.PowerDNS.Zone(t.Context(), zone)
					require.NoError(t, err)
					return held.LastCheck != 0
				}
				if test.whole {
					require.False(t, checked(), "it was transferred")
				} else {
					eventually.True(t, "it was transferred", checked)
				}
				equalContent(t, h, zone)

				set(t, zone, 7, "changed")
				_, err = export(h.primary, activities.ExportZoneInput{Zone: zone})
				require.NoError(t, err)
				_, err = apply(h.secondary, zone)
				require.NoError(t, err)
				equalContent(t, h, zone)
			})
		}
	}
}

// So is one that PowerDNS has lost.
func TestLostZonesAreMadeWhole(t *testing.T) {
	h := newHosts(t)
	const zone = "lost.create."
	h.brought(t, zone)
	require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), zone))
	result, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedNow, result.Outcome)
	held, err := h.secondary.PowerDNS.Zone(t.Context(), zone)
	require.NoError(t, err)
	require.Zero(t, held.LastCheck, "it was transferred")
	equalContent(t, h, zone)
}

// equalContent wants the secondary to hold just what the primary does.
func equalContent(t *testing.T, h hosts, zone string) {
	t.Helper()
	want, err := transfer.DigestOf(t.Context(), h.primary.DNSAddress, zone)
	require.NoError(t, err)
	got, err := transfer.DigestOf(t.Context(), h.secondary.DNSAddress, zone)
	require.NoError(t, err)
	require.Equal(t, want.Digest, got.Digest)
}
