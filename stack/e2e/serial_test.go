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

// A serial that goes back is served and counted; that of a zone that was deleted and is made again is another zone's.
func testSerialsGoBack(t *testing.T, s *site) {
	const zone, series = "back.check.example.", "pdnsdist_serial_went_back_total"
	const at = 3_000_000_000 // above 2³¹, 0 comes after it: a deletion, which has no serial, must not be taken for one with 0
	before := s.metric(t, series)
	counted := func(want float64) error {
		got := s.metric(t, series) - before
		return wants(got == want, "%g serials that went back are counted, want %g", got, want)
	}
	for _, step := range []struct {
		name   string
		serial uint32
		change func(serial uint32)
		want   float64
	}{
		{"made", at + 500, func(serial uint32) { s.proxy.create(t, zone, serial) }, 0},
		{"raised", at + 501, func(serial uint32) { s.proxy.patch(t, zone, soa(zone, serial)) }, 0},
		{"lowered", at + 100, func(serial uint32) { s.proxy.patch(t, zone, soa(zone, serial)) }, 1},
		{"as it was", at + 100, func(uint32) { s.proxy.patch(t, zone, set("www."+zone, "A", "192.0.2.1")) }, 1},
		{"made again", at + 7, func(serial uint32) {
			s.proxy.delete(t, zone)
			until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
			s.proxy.create(t, zone, serial)
		}, 1},
	} {
		t.Log(step.name)
		step.change(step.serial)
		until(t, soon, func() error { return servesSerial(t.Context(), zone, step.serial, s.secondaries...) })
		until(t, soon, func() error { return agree(zone, s.direct, s.secondaries...) })
		until(t, soon, func() error { return counted(step.want) }) // a secondary may be quicker than the count
	}
	s.proxy.delete(t, zone)
	until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
	must(t, counted(1))
}
