package e2e

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Changes of a zone of 25,000 records reach the secondaries alone, without a look at the whole zone, and are then proven by
// one. What was changed past the api-proxy comes with the whole zone.
func TestChangesOfALargeZone(t *testing.T) {
	t.Parallel()
	const zone, names, perName, changes = "deltas.example.", 2500, 10, 20
	here := &site{System: sys, env: env}
	sets := []rrset{set(zone, "NS", "ns1.example.net.")}
	for i := range names {
		texts := make([]string, perName)
		for j := range texts {
			texts[j] = fmt.Sprintf("%q", rand.Text()) // does not compress well: it is too large for an entry
		}
		sets = append(sets, set(fmt.Sprintf("h%04d.%s", i, zone), "TXT", texts...))
	}
	primary.call(t, http.MethodPost, "/zones", map[string]any{"name": zone, "kind": "Native", "soa_edit_api": "INCREASE", "rrsets": sets})
	until(t, soon, func() error { return sameContent(zone) })
	waitStatus(t, zone, inSync)

	deltas := func(result string) float64 {
		return here.metric(t, fmt.Sprintf(`pdnsdist_deltas_total{result=%q}`, result))
	}
	alone := func(n int) float64 {
		return here.metricOf(t, fmt.Sprintf("secondary-%d", n), `pdnsdist_deltas_applied_total{how="changed"}`)
	}
	began := time.Now()
	for i := range changes {
		name, kind, content := fmt.Sprintf("h%04d.%s", i%7, zone), "A", fmt.Sprintf("192.0.2.%d", i)
		if i%5 == 4 { // a challenge for a certificate
			name, kind, content = "_acme-challenge."+name, "TXT", fmt.Sprintf(`"%d"`, i)
		}
		primary.patch(t, zone, set(name, kind, content))
		if i%5 == 4 {
			primary.patch(t, zone, set(name, kind))
		}
	}
	last := fmt.Sprintf("h%04d.%s", (changes-2)%7, zone)
	until(t, soon, func() error {
		return hasAnswer(t.Context(), last, dns.TypeA, []string{fmt.Sprintf("192.0.2.%d", changes-2)}, secondaries...)
	})
	t.Logf("%d changes in a row: served on both after %s", changes, time.Since(began).Round(time.Millisecond))
	until(t, soon, func() error { return sameContent(zone) })
	made := deltas("made")
	until(t, soon, func() error { // the last of them may have come with the whole zone, on a busy host
		primary.patch(t, zone, set("h0008."+zone, "A", fmt.Sprintf("192.0.2.%d", time.Now().UnixNano()%250)))
		return wants(deltas("made") > made, "no delta was made")
	})
	until(t, soon, func() error { return sameContent(zone) })
	for n := range secondaries {
		if alone(n+1) == 0 {
			t.Errorf("no delta was applied alone on %s", secondaries[n].name)
		}
	}

	if out, code := here.command(t.Context(), "resync", zone); code != 0 {
		t.Fatalf("resync: %d\n%s", code, out)
	}
	if deltas("proven") == 0 {
		t.Error("no delta was proven")
	}
	if n := deltas("replaced"); n != 0 {
		t.Errorf("%v deltas were not what the primary held", n)
	}
	must(t, sameContent(zone))

	made = deltas("made")
	direct.patch(t, zone, set("past."+zone, "TXT", `"the proxy"`))
	primary.patch(t, zone, set("h0001."+zone, "A", "192.0.2.99"))
	until(t, soon, func() error { return sameContent(zone) })
	if deltas("made") != made || deltas("refused") == 0 {
		t.Error("a delta was made of a change that is not all that has changed")
	}
}
