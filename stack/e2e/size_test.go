package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A zone of 100,000 records arrives, and so does a change to it.
func TestLargeZone(t *testing.T) {
	parallel(t)
	const zone, records = "large.example.", 100_000
	const perName = 10 // with one a name, PowerDNS's API alone takes 30 s
	sets := make([]rrset, 0, records/perName)
	for i := range records / perName {
		addresses := make([]string, 0, perName)
		for j := range perName {
			addresses = append(addresses, fmt.Sprintf("10.%d.%d.%d", j, i>>8, i&255))
		}
		sets = append(sets, set(fmt.Sprintf("h%06d.%s", i, zone), "A", addresses...))
	}
	began := time.Now()
	primary.create(t, zone, 1, sets...)
	answered := time.Now()
	until(t, 2*time.Minute, func() error { return servesSerial(t.Context(), zone, 1, secondaries...) })
	t.Logf("%d records: API call %s, then served on both after %s", records, answered.Sub(began).Round(time.Millisecond), time.Since(answered).Round(time.Millisecond))
	must(t, sameContent(zone))
	s := waitStatus(t, zone, inSync)
	if len(s.Secondaries) != len(secondaries) {
		t.Errorf("status: %s", s)
	}

	primary.patch(t, zone, set("h000000."+zone, "A", "192.0.2.1"), soa(zone, 2))
	answered = time.Now()
	until(t, time.Minute, func() error { return servesSerial(t.Context(), zone, 2, secondaries...) })
	t.Logf("a change to it: served on both after %s", time.Since(answered).Round(time.Millisecond))
	until(t, soon, func() error {
		return hasAnswer(t.Context(), "h000000."+zone, dns.TypeA, []string{"192.0.2.1"}, secondaries...)
	})
}

// One RRset of 60 KiB: more than any UDP answer, nearly all of a TCP message.
func TestLargeRRset(t *testing.T) {
	parallel(t)
	const zone = "wide.example."
	texts := make([]string, 0, 235)
	for i := range cap(texts) { // each 267 octets on the wire: name pointer and header 12, length 1, text 254
		texts = append(texts, fmt.Sprintf(`"%03d %s"`, i, strings.Repeat("x", 250)))
	}
	primary.create(t, zone, 1, set("txt."+zone, "TXT", texts...))
	waitServed(t, zone, 1)
	waitSame(t, zone)
	for _, n := range secondaries {
		in, err := n.ask(t.Context(), "txt."+zone, dns.TypeTXT, false)
		must(t, err)
		in.Compress = true
		if len(in.Answer) != len(texts) || in.Len() < 60<<10 {
			t.Errorf("%s answers with %d records in %d octets, want %d in over 60 KiB", n.name, len(in.Answer), in.Len(), len(texts))
		}
	}
}

// 1,000 zones as fast as the API takes them (one call at a time: on SQLite PowerDNS answers concurrent ones with 500).
// Not parallel: whatever changes meanwhile waits for its turn.
func TestManyZones(t *testing.T) {
	alone(t)
	const zones = 1000
	name := func(i int) string { return fmt.Sprintf("z%04d.many.example.", i) }
	began := time.Now()
	for i := range zones {
		primary.create(t, name(i), uint32(i+1), set("www."+name(i), "A", "192.0.2.1"))
	}
	answered := time.Now()
	until(t, 5*time.Minute, func() error {
		for _, n := range secondaries {
			if held := countZones(t, n, ".many.example."); held != zones {
				return fmt.Errorf("%s holds %d of %d zones", n.name, held, zones)
			}
		}
		return nil
	})
	until(t, time.Minute, func() error {
		for i := range zones {
			if err := servesSerial(t.Context(), name(i), uint32(i+1), secondaries...); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("%d zones: API calls %s, then served on both after %s", zones, answered.Sub(began).Round(time.Millisecond), time.Since(answered).Round(time.Millisecond))
}

func countZones(t testing.TB, n *nameserver, suffix string) int {
	t.Helper()
	var list []zone
	must(t, json.Unmarshal(n.call(t, http.MethodGet, "/zones?dnssec=false", nil).body, &list))
	count := 0
	for _, z := range list {
		if strings.HasSuffix(z.Name, suffix) {
			count++
		}
	}
	return count
}
