package activities_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
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
					eventually.True(t, 10*time.Second, "it was transferred", checked)
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

// flushCounter notes what is flushed, and may tell more queries than there are.
type flushCounter struct {
	*api.Client
	busy bool

	mu      sync.Mutex
	queries uint64
	flushed []string
}

func (c *flushCounter) FlushCache(ctx context.Context, zone string) error {
	c.mu.Lock()
	c.flushed = append(c.flushed, zone)
	c.mu.Unlock()
	return c.Client.FlushCache(ctx, zone)
}

func (c *flushCounter) Queries(ctx context.Context) (uint64, error) {
	if !c.busy {
		return c.Client.Queries(ctx)
	}
	c.queries += 1e6
	return c.queries, nil
}

// What was answered before a zone was made is not answered any more afterwards. Zones that are made together share a flush of
// PowerDNS's cache, but where it is busy.
func TestCachesOfNewZones(t *testing.T) {
	for number, backend := range []string{"SQLite", "LMDB"} {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/busy %t", backend, busy), func(t *testing.T) {
				h := newHostsWith(t, number)
				counter := &flushCounter{Client: h.secondary.PowerDNS.(*api.Client), busy: busy}
				h.secondary.PowerDNS = counter
				ask := func(zone string) int {
					answer, _, err := new(dns.Client).ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("www."+zone, dns.TypeA), h.secondary.DNSAddress)
					require.NoError(t, err)
					return answer.Rcode
				}
				brought := 0
				bring := func() {
					var zones []string
					for i := range 30 {
						zone := fmt.Sprintf("z%d.flush.example.", brought+i)
						makeZone(t, zone)
						zones = append(zones, zone)
						require.Equal(t, dns.RcodeRefused, ask(zone))
					}
					brought += len(zones)
					exportAll(t, h.primary, zones, pdns.NotProxied)
					applied, err := run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, activities.ZonesInput{Zones: zones})
					require.NoError(t, err)
					require.Equal(t, map[string]int{activities.AppliedNow: len(zones)}, applied.Outcomes)
					for _, zone := range zones {
						require.NotEqual(t, dns.RcodeRefused, ask(zone))
					}
				}
				for range 3 { // at first it is not known how much is asked
					bring()
				}
				shared := 0
				for _, zone := range counter.flushed {
					if zone == "." {
						shared++
					}
				}
				switch {
				case busy && (shared > 0 || len(counter.flushed) != brought):
					t.Errorf("%d flushes of everything, %d in all, for %d zones: want one each", shared, len(counter.flushed), brought)
				case !busy && (shared == 0 || len(counter.flushed) >= brought):
					t.Errorf("%d flushes of everything, %d in all, for %d zones: want less", shared, len(counter.flushed), brought)
				}
			})
		}
	}
}
