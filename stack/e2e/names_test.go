package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// Zone names as they occur: classless reverse zones (RFC 2317), upper case, underscores, digits, the longest. More the API
// of PowerDNS 4.7 does not take; TestZoneNameThatTheAPIRefuses has one.
func TestZoneNames(t *testing.T) {
	parallel(t)
	long := strings.Repeat("abcdefghi.", 23) + "names.example." // 244 octets
	cases := map[string]string{
		"RFC 2317 slash": "0/26.2.0.192.in-addr.arpa.",
		"RFC 2317 dash":  "64-127.2.0.192.in-addr.arpa.",
		"IPv6 reverse":   "8.b.d.0.1.0.0.2.ip6.arpa.",
		"upper case":     "MiXed.NAMES.example.",
		"underscore":     "_msdcs.names.example.",
		"digits":         "123.names.example.",
		"leading hyphen": "-x-.names.example.",
		"long":           long,
	}
	for name, zone := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			primary.create(t, zone, 10, set("www."+zone, "A", "192.0.2.1"))
			waitServed(t, zone, 10)
			waitSame(t, zone)
			primary.patch(t, zone, set("www."+zone, "A", "192.0.2.2"), soa(zone, 11))
			waitServed(t, zone, 11)
			until(t, soon, func() error {
				return hasAnswer(t.Context(), "www."+zone, dns.TypeA, []string{"192.0.2.2"}, secondaries...)
			})
			primary.delete(t, zone)
			waitGone(t, zone)
		})
	}
}

// The API takes a zone's name in a path in any case and without its final dot; the event names the same zone.
func TestZoneNameInPathInAnyForm(t *testing.T) {
	parallel(t)
	const zone = "path.names.example."
	primary.create(t, zone, 1)
	waitServed(t, zone, 1)
	for i, id := range []string{"PATH.names.example.", "path.names.example", "Path.Names.Example", "path%2Enames.example."} {
		serial := uint32(i + 2)
		primary.call(t, http.MethodPatch, "/zones/"+id, patchOf(soa(zone, serial)))
		waitServed(t, zone, serial)
	}
}

// Wildcards and empty non-terminals answer as on the primary, also when they come and go.
func TestWildcardAndEmptyNonTerminal(t *testing.T) {
	parallel(t)
	const zone = "shape.example."
	primary.create(t, zone, 1, set("*."+zone, "A", "192.0.2.1"), set("a.b.c."+zone, "TXT", `"deep"`), set("*.w.x."+zone, "MX", "10 mail.example.net."))
	names := []string{"", "any.", "b.c.", "c.", "a.b.c.", "x.b.c.", "w.x.", "q.w.x.", "x.", "y.x."}
	check := func() error {
		if err := sameContent(zone); err != nil {
			return err
		}
		for _, n := range secondaries {
			for _, name := range names {
				for _, qtype := range []uint16{dns.TypeA, dns.TypeTXT, dns.TypeMX} {
					if err := sameAnswer(t, n, name+zone, qtype); err != nil {
						return err
					}
				}
			}
		}
		return nil
	}
	until(t, soon, check)
	primary.patch(t, zone, set("a.b.c."+zone, "TXT"), set("y.x."+zone, "A", "192.0.2.9"), set("*."+zone, "A"), soa(zone, 2))
	waitServed(t, zone, 2)
	until(t, soon, check)
}
