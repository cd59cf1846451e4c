package pdns

import (
	"strings"
	"testing"
)

func TestCanonicalZone(t *testing.T) {
	long := strings.Repeat("a.", 127) // 255 octets with the root
	tests := []struct{ in, want, err string }{
		{in: "example.org", want: "example.org."},
		{in: "Example.ORG.", want: "example.org."},
		{in: ".", want: "."},
		{in: "0/26.2.0.192.in-addr.arpa", want: "0/26.2.0.192.in-addr.arpa."},
		{in: "_tcp.Example.", want: "_tcp.example."},
		{in: "*.example.", want: "*.example."},
		{in: "xn--bcher-KVA.example", want: "xn--bcher-kva.example."},
		{in: `a\.b.example.`, want: `a\.b.example.`},
		{in: `a\046b.example.`, want: `a\.b.example.`},
		{in: `a\032b.example.`, want: `a\ b.example.`},
		{in: `a\ b.example.`, want: `a\ b.example.`},
		{in: `\065\B.example.`, want: `ab.example.`},
		{in: `\000\255.example.`, want: `\000\255.example.`},
		{in: `a@b.example.`, want: `a\@b.example.`},
		{in: `a\\b.example.`, want: `a\\b.example.`},
		{in: `a\\.example.`, want: `a\\.example.`},
		{in: `example\.`, want: `example\..`},
		{in: long, want: long},
		{in: strings.TrimSuffix(long, "."), want: long},

		{in: "", err: `is empty`},
		{in: "..", err: `empty label`},
		{in: ".example.", err: `empty label`},
		{in: "a..example.", err: `empty label`},
		{in: "example..", err: `empty label`},
		{in: long + "a.", err: `longer than 255 octets`},
		{in: long + "a", err: `longer than 255 octets`},
		{in: strings.Repeat("a", 64) + ".example.", err: `label longer than 63 octets`},
		{in: strings.Repeat(`\097`, 64) + ".example.", err: `label longer than 63 octets`},
		{in: strings.Repeat("a", 10_000), err: `label longer than 63 octets`},
		{in: `example\`, err: `ends in the middle of an escape`},
		{in: `a\25.example.`, err: `where an escape \000 to \255 must stand`},
		{in: `a\256.example.`, err: `where an escape \000 to \255 must stand`},
		{in: `a\999`, err: `where an escape \000 to \255 must stand`},
		{in: "bücher.example.", err: `A-label`},
		{in: `\ü.example.`, err: `write the octet as \195`},
		{in: "a b.example.", err: `write it as \032`},
		{in: "a\nb.example.", err: `write it as \010`},
		{in: "a\x00b.example.", err: `write it as \000`},
		{in: `\.`, err: `cannot be told from the root`},
	}
	for _, tt := range tests {
		got, err := CanonicalZone(tt.in)
		switch {
		case tt.err == "" && (err != nil || got != tt.want):
			t.Errorf("CanonicalZone(%q) = %q, %v, want %q", tt.in, got, err, tt.want)
		case tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)):
			t.Errorf("CanonicalZone(%q) = %q, %v, want an error with %q", tt.in, got, err, tt.err)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("CanonicalZone(%.20q…): an error of %d characters", tt.in, len(err.Error()))
		}
	}
}

func TestZoneKey(t *testing.T) {
	tests := []struct{ zone, key string }{
		{".", "=2E"},
		{"example.org.", "example.org"},
		{"Example.org", "example.org"},
		{"0/26.2.0.192.in-addr.arpa.", "0=2F26.2.0.192.in-addr.arpa"},
		{`a\.b.example.`, "a=2Eb.example"},
		{`a\032b.example.`, "a=20b.example"},
		{`\000\255.example.`, "=00=FF.example"},
		{"*._tcp.example.", "=2A._tcp.example"},
		{`a=b.example.`, "a=3Db.example"},
		{`\..example.`, "=2E.example"},
	}
	for _, tt := range tests {
		if got := ZoneKey(tt.zone); got != tt.key {
			t.Errorf("ZoneKey(%q) = %q, want %q", tt.zone, got, tt.key)
		}
		want, err := CanonicalZone(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ZoneFromKey(tt.key); err != nil || got != want {
			t.Errorf("ZoneFromKey(%q) = %q, %v, want %q", tt.key, got, err, want)
		}
	}
	if got := ZoneKey("a..b"); got != "" {
		t.Errorf("key %q of what is no name, want none", got)
	}
}

func TestZoneFromKeyRefuses(t *testing.T) {
	for _, key := range []string{
		"", ".", "example.", "Example", "a..b", "=2f.example", "=61.example", "=41.example", "=", "=2", "a=2",
		"=GG", "a b", "a/b", "é", `a\.b`, "*.example", strings.Repeat("a", 64),
	} {
		if zone, err := ZoneFromKey(key); err == nil {
			t.Errorf("ZoneFromKey(%q) = %q, want an error", key, zone)
		}
	}
}

// Whatever is accepted as a zone name has one spelling, and one key that
// leads back to it.
func FuzzZone(f *testing.F) {
	for _, name := range []string{"example.org", ".", `a\.b.`, `\000.`, "0/26.x", "ü", `\`, "=2E", `\@a.b`} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if zone, err := ZoneFromKey(name); err == nil && ZoneKey(zone) != name {
			t.Fatalf("key %q is zone %q, whose key is %q", name, zone, ZoneKey(zone))
		}
		zone, err := CanonicalZone(name)
		if err != nil {
			return
		}
		if again, err := CanonicalZone(zone); err != nil || again != zone {
			t.Fatalf("CanonicalZone(%q) = %q, and of that %q, %v", name, zone, again, err)
		}
		key := ZoneKey(zone)
		if back, err := ZoneFromKey(key); err != nil || back != zone {
			t.Fatalf("zone %q has key %q, which is zone %q, %v", zone, key, back, err)
		}
	})
}
