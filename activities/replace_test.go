package activities_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// What a secondary has applied before is told to be fetched before it is known what PowerDNS holds by now: a zone that has become
// somebody else's must get nothing, and one that is missing must be made.
func TestAZoneThatWasAppliedIsNotOursAnyMore(t *testing.T) {
	const zone = "replaced.example."
	for _, test := range []struct {
		name    string
		change  func(t *testing.T, h hosts)
		outcome string
	}{
		{"another account", func(t *testing.T, _ hosts) { putSecondary(t, zone, map[string]any{"account": "somebody"}) }, activities.AppliedForeign},
		{"another master", func(t *testing.T, _ hosts) { putSecondary(t, zone, map[string]any{"masters": []string{"127.0.0.1:9"}}) }, activities.AppliedForeign},
		{"not a secondary zone", func(t *testing.T, _ hosts) { putSecondary(t, zone, map[string]any{"kind": "Native"}) }, activities.AppliedForeign},
		{"missing", func(t *testing.T, h hosts) { require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), zone)) }, activities.AppliedNow},
		{"ours", func(*testing.T, hosts) {}, activities.AppliedNow},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHosts(t)
			makeZone(t, zone)
			_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
			require.NoError(t, err)
			_, err = apply(h.secondary, zone)
			require.NoError(t, err)
			before, err := transfer.DigestOf(t.Context(), h.secondary.DNSAddress, zone)
			require.NoError(t, err)

			test.change(t, h)
			set(t, zone, 4000000000, "changed")
			_, err = export(h.primary, activities.ExportZoneInput{Zone: zone})
			require.NoError(t, err)
			result, err := apply(h.secondary, zone)
			require.NoError(t, err)
			require.Equal(t, test.outcome, result.Outcome)
			broughtOrUntouched(t, h, zone, test.outcome, before)
		})
	}
}

// broughtOrUntouched wants the zone to hold what the primary does where it was brought, else what it held before.
func broughtOrUntouched(t *testing.T, h hosts, zone, outcome string, before transfer.Summary) {
	t.Helper()
	if outcome == activities.AppliedNow {
		equalContent(t, h, zone)
		return
	}
	after, err := transfer.DigestOf(t.Context(), h.secondary.DNSAddress, zone)
	require.NoError(t, err)
	require.Equal(t, before.Digest, after.Digest, "it was touched")
}

// putSecondary changes the settings of a zone on the secondary with SQLite.
func putSecondary(t *testing.T, zone string, settings any) {
	t.Helper()
	onSecondary(t, http.MethodPut, zone, settings)
}
