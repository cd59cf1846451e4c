package activities_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const bigZone = "big.example."

// bigHosts has a zone on the primary that is too large for an entry, brought to
// the secondary, and changes it.
type bigHosts struct {
	hosts
	telling
	registry *prometheus.Registry
}

// telling tells ahead of calls that change a zone.
type telling struct {
	ahead   *activities.Ahead
	zone    string
	changes int
}

// told has a call exported ahead that is said to have changed these RRsets.
func (t *telling) told(named ...pdns.RRsetName) string {
	t.changes++
	id := fmt.Sprintf("change-%d", t.changes)
	t.ahead.Changed(pdns.Call{Zone: t.zone, Kind: pdns.ChangeModify, ChangeID: id, RRsets: named})
	return id
}

func newBigHosts(t *testing.T, number int) *bigHosts {
	t.Helper()
	b := &bigHosts{hosts: newHostsWith(t, number), registry: prometheus.NewRegistry()}
	b.primary.Metrics = activities.NewPrimaryMetrics(b.registry)
	b.secondary.Metrics = activities.NewSecondaryMetrics(b.registry)
	b.telling = telling{ahead: activities.NewAhead(t.Context(), b.primary, nil), zone: bigZone}
	sets := []any{rrset(bigZone, "TXT", `"first"`)}
	for i := range 600 { // not fewer and larger: PowerDNS puts a hundred records into a message of a transfer
		texts := fmt.Sprintf("%q %q", manyLetters(), manyLetters()) // that do not compress well
		sets = append(sets, rrset(fmt.Sprintf("h%03d.%s", i, bigZone), "TXT", texts))
	}
	call(t, http.MethodPost, "/zones", map[string]any{
		"name": bigZone, "kind": "Native", "soa_edit_api": "INCREASE", "nameservers": []string{"ns1." + bigZone}, "rrsets": sets,
	})
	t.Cleanup(func() { call(t, http.MethodDelete, "/zones/"+bigZone, nil) })
	b.export(t)
	b.apply(t)
	return b
}

// manyLetters are as many as fit into one string of a TXT.
func manyLetters() string {
	var text strings.Builder
	for text.Len()+26 <= 255 {
		text.WriteString(rand.Text())
	}
	return text.String()
}

// newest is the zone's newest version.
func (b *bigHosts) newest(t *testing.T) pdns.Version {
	t.Helper()
	v, _, err := b.store.Newest(t.Context(), bigZone)
	require.NoError(t, err)
	return v
}

// export reads the whole zone.
func (b *bigHosts) export(t *testing.T) activities.ExportZoneResult {
	t.Helper()
	result, err := export(b.primary, activities.ExportZoneInput{Zone: bigZone, Primary: "primary-1"})
	require.NoError(t, err)
	require.False(t, result.Unproven)
	return result
}

func (b *bigHosts) apply(t *testing.T) {
	t.Helper()
	result, err := apply(b.secondary, bigZone)
	require.NoError(t, err)
	require.Equal(t, b.newest(t).Version, result.Version)
}

// patched makes one call of the API, past the proxy.
func patched(t *testing.T, sets ...any) {
	t.Helper()
	call(t, http.MethodPatch, "/zones/"+bigZone, map[string]any{"rrsets": sets})
}

// exported waits until changes are exported.
func (b *bigHosts) exported(t *testing.T, ids ...string) activities.ExportZoneResult {
	t.Helper()
	result, err := export(b.primary, activities.ExportZoneInput{Zone: bigZone, Primary: "primary-1", Changes: ids})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	return result
}

// counts are the deltas so far.
func (b *bigHosts) counts(t *testing.T) map[string]int {
	t.Helper()
	families, err := b.registry.Gather()
	require.NoError(t, err)
	counts := make(map[string]int)
	for _, family := range families {
		switch family.GetName() {
		case "pdnsdist_deltas_total", "pdnsdist_deltas_applied_total":
			for _, m := range family.GetMetric() {
				counts[m.GetLabel()[0].GetValue()] = int(m.GetCounter().GetValue())
			}
		}
	}
	return counts
}

// alike requires that the secondary holds what the primary holds.
func (b *bigHosts) alike(t *testing.T) {
	t.Helper()
	want, err := transfer.DigestOf(t.Context(), b.primary.DNSAddress, bigZone)
	require.NoError(t, err)
	have, err := transfer.DigestOf(t.Context(), b.secondary.DNSAddress, bigZone)
	require.NoError(t, err)
	require.Equal(t, want, have)
}

// answers compares what both answer for a name.
func (b *bigHosts) answers(t *testing.T, name string) {
	t.Helper()
	var rcodes []int
	var answers []string
	for _, server := range []string{b.primary.DNSAddress, b.secondary.DNSAddress} {
		m, err := dns.Exchange(new(dns.Msg).SetQuestion(name, dns.TypeTXT), server)
		require.NoError(t, err)
		var records []string
		for _, rr := range m.Answer {
			records = append(records, rr.String())
		}
		slices.Sort(records)
		rcodes = append(rcodes, m.Rcode)
		answers = append(answers, fmt.Sprint(m.Authoritative, records, m.Ns))
	}
	require.Equal(t, rcodes[0], rcodes[1], name)
	require.Equal(t, answers[0], answers[1], name)
}

func named(name, kind string) pdns.RRsetName { return pdns.RRsetName{Name: name, Type: kind} }

func gone(name, kind string) any {
	return map[string]any{"name": name, "type": kind, "changetype": "DELETE"}
}
