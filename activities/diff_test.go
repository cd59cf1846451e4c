package activities_test

import (
	"context"
	"crypto/sha512"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const amended = "amended.example."

// amending is a zone that both hold, and what counts how its changes go.
func amending(t *testing.T, number int) (hosts, func() map[string]int) {
	t.Helper()
	b := &bigHosts{hosts: newHostsWith(t, number), registry: prometheus.NewRegistry()}
	b.secondary.Metrics = activities.NewSecondaryMetrics(b.registry)
	makeZone(t, amended)
	call(t, http.MethodPatch, "/zones/"+amended, map[string]any{"rrsets": []any{rrset("a."+amended, "A", "192.0.2.1"), rrset("deep.b."+amended, "A", "192.0.2.1")}})
	distributed(t, b.hosts)
	return b.hosts, func() map[string]int { return b.counts(t) }
}

// distributed exports the zone after a change and has it applied.
func distributed(t *testing.T, h hosts) activities.ApplyZoneResult {
	t.Helper()
	result, err := export(h.primary, activities.ExportZoneInput{Zone: amended, Primary: h.primary.ID, Taken: true})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	require.Nil(t, result.Version.Diff, "it would go into the history")
	applied, err := apply(h.secondary, amended)
	require.NoError(t, err)
	return applied
}

// A secondary that has the version before changes just what differs, and holds what the primary holds. What PowerDNS must see the
// whole zone for goes by transfer.
func TestADifferenceIsApplied(t *testing.T) {
	for number, backend := range []string{"SQLite", "LMDB"} {
		t.Run(backend, func(t *testing.T) {
			h, counts := amending(t, number)
			times := 0
			for i, test := range []struct {
				name string
				sets []any
				full bool
			}{
				{name: "a value", sets: []any{rrset("a."+amended, "A", "192.0.2.9", "192.0.2.10")}},
				{name: "a text", sets: []any{rrset(amended, "TXT", `"v=1; \"x\" \\ \195\164"`, `"b" "c"`)}},
				{name: "a name comes", sets: []any{rrset("_acme-challenge.a."+amended, "TXT", `"token"`)}},
				{name: "and goes", sets: []any{gone("_acme-challenge.a."+amended, "TXT")}},
				{name: "a CNAME for an address", sets: []any{gone("a."+amended, "A"), rrset("a."+amended, "CNAME", "b."+amended)}},
				{name: "an empty non-terminal goes", sets: []any{gone("deep.b."+amended, "A")}, full: true},
				{name: "a delegation comes", sets: []any{rrset("c."+amended, "NS", "ns.c."+amended), rrset("ns.c."+amended, "A", "192.0.2.3")}, full: true},
				{name: "glue", sets: []any{rrset("ns.c."+amended, "A", "192.0.2.4")}, full: true},
			} {
				set(t, amended, uint32(10+i), test.name)
				call(t, http.MethodPatch, "/zones/"+amended, map[string]any{"rrsets": test.sets})
				require.Equal(t, activities.AppliedNow, distributed(t, h).Outcome)
				equalContent(t, h, amended)
				if !test.full {
					times++
				}
				require.Equal(t, times, counts()["amended"], test.name)
			}
			for _, name := range []string{"deep.b.", "b.", "a.", "x.c.", "nothing."} {
				(&bigHosts{hosts: h}).answers(t, name+amended)
			}
		})
	}
}

// A difference is for who stands at just the version before, in a zone that is ours and as it was, also where it was so a moment ago.
// Whose zone it is, is known for five seconds.
func TestADifferenceIsNotApplied(t *testing.T) {
	for _, test := range []struct {
		name    string
		change  func(t *testing.T, h hosts)
		later   bool
		outcome string
	}{
		{"another version stands here", func(t *testing.T, h hosts) {
			set(t, amended, 20, "between")
			_, err := export(h.primary, activities.ExportZoneInput{Zone: amended, Taken: true})
			require.NoError(t, err)
		}, false, activities.AppliedNow},
		{"another serial is held", func(t *testing.T, h hosts) {
			set := []any{rrset(amended, "SOA", "ns1."+amended+" x."+amended+" 15 1 1 1 1")}
			onSecondary(t, http.MethodPatch, amended, map[string]any{"rrsets": set})
		}, false, activities.AppliedNow},
		{"PowerDNS sets serials", func(t *testing.T, _ hosts) { putSecondary(t, amended, map[string]any{"soa_edit_api": "INCREASE"}) }, true, activities.AppliedNow},
		{"PowerDNS sets serials since a moment ago", func(t *testing.T, _ hosts) {
			putSecondary(t, amended, map[string]any{"soa_edit_api": "INCREASE"})
		}, false, activities.AppliedNow},
		{"what stands here was found wrong", func(t *testing.T, h hosts) { distrust(t, h, amended) }, false, activities.AppliedNow},
		{"it fails after it was done", func(_ *testing.T, h hosts) { h.secondary.Changer = refusing{h.secondary.Changer} }, false, activities.AppliedNow},
		{"missing", func(t *testing.T, h hosts) { require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), amended)) }, false, activities.AppliedNow},
		{"another account", func(t *testing.T, _ hosts) { putSecondary(t, amended, map[string]any{"account": "somebody"}) }, true, activities.AppliedForeign},
		{"another master", func(t *testing.T, _ hosts) {
			putSecondary(t, amended, map[string]any{"masters": []string{"127.0.0.1:9"}})
		}, true, activities.AppliedForeign},
		{"somebody else's in its place", func(t *testing.T, h hosts) {
			require.NoError(t, h.secondary.PowerDNS.DeleteZone(t.Context(), amended))
			callSecondary(t, http.MethodPost, "/zones", map[string]any{"name": amended, "kind": "Native", "nameservers": []string{"ns.other.example."}})
		}, false, activities.AppliedForeign},
	} {
		t.Run(test.name, func(t *testing.T) {
			h, counts := amending(t, 0)
			set(t, amended, 5, "a moment ago")
			require.Equal(t, activities.AppliedNow, distributed(t, h).Outcome)
			test.change(t, h)
			if test.later {
				h.secondary.Now = func() time.Time { return time.Now().Add(5 * time.Second) }
			}
			before, err := transfer.DigestOf(t.Context(), h.secondary.DNSAddress, amended)
			if test.outcome == activities.AppliedForeign {
				require.NoError(t, err)
			}
			set(t, amended, 30, "changed")
			require.Equal(t, test.outcome, distributed(t, h).Outcome)
			require.Equal(t, 1, counts()["amended"])
			broughtOrUntouched(t, h, amended, test.outcome, before)
		})
	}
}

// A zone is looked at once in five seconds, however often it is changed.
func TestAZoneThatWasJustLookedAtIsOurs(t *testing.T) {
	h, counts := amending(t, 0)
	looked := &lookedAt{SecondaryPowerDNS: h.secondary.PowerDNS}
	h.secondary.PowerDNS = looked
	now := time.Now()
	h.secondary.Now = func() time.Time { return now }
	for i, looks := range []int{1, 1, 1, 2, 2} {
		set(t, amended, uint32(10+i), "again")
		require.Equal(t, activities.AppliedNow, distributed(t, h).Outcome)
		require.Equal(t, looks, looked.count, i)
		require.Equal(t, i+1, counts()["amended"])
		equalContent(t, h, amended)
		now = now.Add(1700 * time.Millisecond)
	}
}

// What a change differs from is kept where it was published from here and is small; else NATS has it.
func TestTheContentBeforeIsKept(t *testing.T) {
	h, counts := amending(t, 0)
	other := *h.primary
	other.ID = "primary-2"
	opened := &openings{Publisher: h.primary.Versions}
	h.primary.Versions = opened
	activities.NewAhead(t.Context(), h.primary, nil)
	var large []any
	for i := range 100 {
		large = append(large, rrset(fmt.Sprintf("h%d.%s", i, amended), "TXT", fmt.Sprintf(`"%x"`, sha512.Sum512([]byte{byte(i)}))))
	}
	byOther := func() {
		set(t, amended, 25, "from elsewhere")
		result, err := export(&other, activities.ExportZoneInput{Zone: amended, Primary: other.ID, Taken: true})
		require.NoError(t, err)
		require.Equal(t, activities.ExportPublished, result.Outcome)
		_, err = apply(h.secondary, amended)
		require.NoError(t, err)
	}
	grow := func() { call(t, http.MethodPatch, "/zones/"+amended, map[string]any{"rrsets": large}) }
	for i, test := range []struct {
		name    string
		before  func()
		opens   int
		amended int
	}{
		{"made before there was anything to keep it", func() {}, 1, 1},
		{"kept", func() {}, 1, 2},
		{"another primary published since", byOther, 2, 4},
		{"kept again", func() {}, 2, 5},
		{"it grows, past what is told as a difference", grow, 2, 5},
		{"it is large", func() {}, 3, 6},
	} {
		test.before()
		set(t, amended, uint32(10*(i+1)), "changed")
		distributed(t, h)
		require.Equal(t, test.opens, opened.count, test.name)
		require.Equal(t, test.amended, counts()["amended"], test.name)
		equalContent(t, h, amended)
	}
}

// openings counts the contents that are asked for.
type openings struct {
	activities.Publisher
	count int
}

func (o *openings) Open(ctx context.Context, v pdns.Version) (io.ReadCloser, error) {
	o.count++
	return o.Publisher.Open(ctx, v)
}

// countingZones counts how often a zone is asked about.
type countingZones struct {
	activities.PrimaryPowerDNS
	count int
}

func (c *countingZones) Zone(ctx context.Context, zone string) (api.Zone, error) {
	c.count++
	return c.PrimaryPowerDNS.Zone(ctx, zone)
}

// distrust notes that what was applied is not what is served.
func distrust(t *testing.T, h hosts, zone string) {
	t.Helper()
	noted, known, err := h.secondary.Applied.Get(zone)
	require.NoError(t, err)
	require.True(t, known)
	noted.Distrusted = true
	require.NoError(t, h.secondary.Applied.Set(noted))
}

// onSecondary calls the API of the secondary with SQLite.
func onSecondary(t *testing.T, method, zone string, body any) {
	t.Helper()
	callSecondary(t, method, "/zones/"+zone, body)
}
