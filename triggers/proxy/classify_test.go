package proxy

import (
	"testing"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	add    = pdns.ChangeAdd
	modify = pdns.ChangeModify
	remove = pdns.ChangeDelete
)

// TestClassify holds every route of PowerDNS 4.7 to 5.0 with every method that
// it has.
func TestClassify(t *testing.T) {
	const s = "/api/v1/servers/localhost"
	const z = s + "/zones/example.org."
	for _, c := range []struct {
		method, path string
		want         class
	}{
		{"GET", "/", class{}},
		{"GET", "/metrics", class{}},
		{"GET", "/api", class{}},
		{"GET", "/api/v1", class{}},
		{"GET", "/api/v1/servers", class{}},
		{"GET", s, class{}},
		{"GET", s + "/config", class{}},
		{"GET", s + "/config/launch", class{}},
		{"GET", s + "/statistics", class{}},
		{"GET", s + "/search-data", class{}},
		{"PUT", s + "/cache/flush", class{}},
		{"GET", s + "/tsigkeys", class{}},
		{"POST", s + "/tsigkeys", class{}},
		{"PUT", s + "/tsigkeys/k.", class{}},
		{"DELETE", s + "/tsigkeys/k.", class{}},
		{"GET", s + "/autoprimaries", class{}},
		{"POST", s + "/autoprimaries", class{}},
		{"DELETE", s + "/autoprimaries/192.0.2.1/ns.example.org", class{}},

		{"GET", s + "/zones", class{}},
		{"OPTIONS", s + "/zones", class{}},
		{"POST", s + "/zones", class{place: inBody, kind: add}},
		{"GET", z, class{}},
		{"HEAD", z, class{}},
		{"PUT", z, class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"PATCH", z, class{place: inPath, kind: modify, zone: "example.org.", rrsets: true}},
		{"DELETE", z, class{place: inPath, kind: remove, zone: "example.org."}},
		{"POST", z, class{}},
		{"GET", z + "/export", class{}},
		{"PUT", z + "/notify", class{}},
		{"PUT", z + "/rectify", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"PUT", z + "/axfr-retrieve", class{place: inPath, kind: modify, zone: "example.org.", later: true}},
		{"GET", z + "/cryptokeys", class{}},
		{"POST", z + "/cryptokeys", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"GET", z + "/cryptokeys/1", class{}},
		{"PUT", z + "/cryptokeys/1", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"DELETE", z + "/cryptokeys/1", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"GET", z + "/metadata", class{}},
		{"POST", z + "/metadata", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"GET", z + "/metadata/NSEC3PARAM", class{}},
		{"PUT", z + "/metadata/NSEC3PARAM", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},
		{"DELETE", z + "/metadata/NSEC3PARAM", class{place: inPath, kind: modify, zone: "example.org.", partly: true}},

		{"GET", s + "/views", class{}},
		{"GET", s + "/views/trusted", class{}},
		{"POST", s + "/views/trusted", class{place: inBody, kind: modify}},
		{"DELETE", s + "/views/trusted/example.org..trusted", class{place: inPath, kind: modify, zone: "example.org."}},
		{"DELETE", s + "/views/trusted/example.org.", class{place: inPath, kind: modify, zone: "example.org."}},
		{"GET", s + "/networks", class{}},
		{"GET", s + "/networks/192.0.2.0/24", class{}},
		{"PUT", s + "/networks/192.0.2.0/24", class{}},

		// Odd ways to write what PowerDNS takes.
		{"patch", z, class{place: inPath, kind: modify, zone: "example.org.", rrsets: true}},
		{"post", s + "/zones", class{place: inBody, kind: add}},
		// And what it answers with 404: an intent too many is harmless.
		{"PATCH", "/" + z + "/", class{place: inPath, kind: modify, zone: "example.org.", rrsets: true}},
		{"POST", "//api/v1/servers/localhost//zones/", class{place: inBody, kind: add}},
		{"PATCH", "/API/v1/servers/localhost/zones/example.org.", class{}},
		{"PATCH", "/api/v1/servers/localhost/zone%73/example.org.", class{}},
		{"PATCH", "/api/v2/servers/localhost/zones/example.org.", class{}},
		{"PATCH", "/servers/localhost/zones/example.org.", class{}},
		{"PATCH", "", class{}},
		{"PATCH", "*", class{}},
	} {
		if got := classify(c.method, c.path); got != c.want {
			t.Errorf("%s %s: got %+v, want %+v", c.method, c.path, got, c.want)
		}
	}
}

func TestZoneFromID(t *testing.T) {
	for id, want := range map[string]string{
		"example.org.":                   "example.org.",
		"example.org":                    "example.org.",
		"EXAMPLE.Org":                    "example.org.",
		"=65xample.org.":                 "example.org.",
		"example=2Eorg.":                 "example.org.",
		"example%2eorg%2E":               "example.org.",
		"%65xample.org":                  "example.org.",
		"0=2F26.2.0.192.in-addr.arpa":    "0/26.2.0.192.in-addr.arpa.",
		"0=2f26.2.0.192.in-addr.arpa":    "0/26.2.0.192.in-addr.arpa.",
		"0%2F26.2.0.192.in-addr.arpa":    "0/26.2.0.192.in-addr.arpa.",
		"0%3D2F26.2.0.192.in-addr.arpa.": "0/26.2.0.192.in-addr.arpa.",
		"0/26.2.0.192.in-addr.arpa.":     "0/26.2.0.192.in-addr.arpa.",
		"=2E":                            ".",
		".":                              ".",
		"=5Fmsdcs.example.":              "_msdcs.example.",
		"_msdcs.example.":                "_msdcs.example.",
		"a=5C032b.example.":              `a\ b.example.`,
		"a=20b.example.":                 `a\ b.example.`,
		"a%20b.example.":                 `a\ b.example.`,
		"=FF.example.":                   `\255.example.`,
		"a=5C.b.example.":                `a\.b.example.`,
		"a=5C..b.example.":               `a\..b.example.`,
		"example.org..trusted":           "example.org.",
		"..trusted":                      ".",
		"xn--bcher-kva.example.":         "xn--bcher-kva.example.",
	} {
		if got, err := zoneFromID(id); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", id, got, err, want)
		}
	}
	for _, id := range []string{"", "=", "=2", "=ZZ", "a=", "%zz", "a=2", "=%32%45%", ".a", ".a.."} {
		if got, err := zoneFromID(id); err == nil {
			t.Errorf("%q: got %q, want an error", id, got)
		}
	}
}

func FuzzClassify(f *testing.F) {
	f.Add("PATCH", "/api/v1/servers/localhost/zones/example.org./metadata/X")
	f.Add("DELETE", "/api/v1/servers/localhost/views/v/=..=2E..%2E")
	f.Add("POST", "//api//v1/servers//zones//")
	f.Fuzz(func(t *testing.T, method, path string) {
		c := classify(method, path)
		if (c.zone != "") != (c.place == inPath) {
			t.Fatalf("%s %q: %+v", method, path, c)
		}
		if canonical, err := pdns.CanonicalZone(c.zone); c.place == inPath && (err != nil || canonical != c.zone) {
			t.Fatalf("%s %q: zone %q is not canonical: %q, %v", method, path, c.zone, canonical, err)
		}
	})
}
