package e2e

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/miekg/dns"
)

// Serials are compared nowhere: any may follow any other (RFC 1982's order, its reverse, half-way round, none at all).
func TestSerials(t *testing.T) {
	parallel(t)
	const zone = "serials.example."
	primary.create(t, zone, 1<<31-1, set("www."+zone, "TXT", `"begin"`))
	waitServed(t, zone, 1<<31-1)
	for _, serial := range []uint32{1 << 31, 1<<31 + 5, 1<<32 - 2, 1<<32 - 1, 0, 1, 1 << 31, 1<<31 + 1, 3, 2, 1<<32 - 1, 1<<31 - 1} {
		text := fmt.Sprintf(`"serial %d"`, serial)
		primary.patch(t, zone, soa(zone, serial), set("www."+zone, "TXT", text))
		waitServed(t, zone, serial)
		until(t, soon, func() error { return hasAnswer(t.Context(), "www."+zone, dns.TypeTXT, []string{text}, secondaries...) })
	}
	waitSame(t, zone)
	waitStatus(t, zone, inSync)
}

// Content that changes under an unchanged serial arrives all the same.
func TestEqualSerial(t *testing.T) {
	parallel(t)
	const zone = "equal.example."
	primary.create(t, zone, 42, set("www."+zone, "TXT", `"begin"`))
	waitServed(t, zone, 42)
	for i := range 5 {
		primary.patch(t, zone, set("www."+zone, "TXT", fmt.Sprintf(`"change %d"`, i)), set(fmt.Sprintf("n%d.%s", i, zone), "A", "192.0.2.1"))
		waitSame(t, zone)
		// A pair of changes so close that they may share an export.
		primary.patch(t, zone, set(fmt.Sprintf("m%d.%s", i, zone), "A", "192.0.2.1"))
		primary.patch(t, zone, set(fmt.Sprintf("m%d.%s", i, zone), "A", "192.0.2.2"), set(fmt.Sprintf("n%d.%s", i, zone), "A"))
		waitSame(t, zone)
	}
	must(t, servesSerial(t.Context(), zone, 42, secondaries...))
	// Metadata that changes nothing in the content must not stall the sync either.
	primary.call(t, http.MethodPut, "/zones/"+zone+"/metadata/X-NOTE", map[string]any{"kind": "X-NOTE", "metadata": []string{"1"}})
	primary.patch(t, zone, set("last."+zone, "TXT", `"last"`))
	waitSame(t, zone)
	waitStatus(t, zone, inSync)
}
