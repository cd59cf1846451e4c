package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// loadZone has pdnsutil put a zone file into the primary's database, past the API: that one refuses escaped names.
func loadZone(t testing.TB, zone, content string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	must(t, os.WriteFile(file, []byte(content), 0o600))
	primary.changes.Lock()
	defer primary.changes.Unlock()
	out, err := exec.CommandContext(t.Context(), "pdnsutil", "--config-dir="+filepath.Join(sys.Dir(), "config", "pdns-primary"), "load-zone", zone, file).CombinedOutput()
	if err != nil {
		t.Fatalf("pdnsutil load-zone %s: %v\n%s", zone, err, out)
	}
}

// publish tells of a change as another program would: with the zone's name and nothing else.
func publish(t testing.TB, zone string) {
	t.Helper()
	js, err := broker()
	must(t, err)
	_, err = js.Publish(t.Context(), "zone.modified", []byte(`{"zone":"`+strings.ReplaceAll(zone, `\`, `\\`)+`"}`))
	must(t, err)
}

// Names of records may hold any octet; but NUL, which PowerDNS's LMDB backend uses to separate labels.
func TestEscapedRecordNames(t *testing.T) {
	parallel(t)
	const zone = "escaped.example."
	loadZone(t, zone, `$ORIGIN escaped.example.
$TTL 300
@ IN SOA ns1.example.net. hostmaster.example.net. 5 10800 3600 604800 60
@ IN NS ns1.example.net.
dot\.dot IN A 192.0.2.1
sp\032ace IN A 192.0.2.2
b\252cher IN A 192.0.2.3
octets\001\255 IN A 192.0.2.4
UPPER IN A 192.0.2.5
back\\slash IN TXT "a back\\slash"
at\@sign.deep IN CNAME dot\.dot
a=b*c,d IN A 192.0.2.6
\*.star IN A 192.0.2.7
`)
	publish(t, zone)
	waitServed(t, zone, 5)
	waitSame(t, zone)
	// PowerDNS answers questions with '=', ',' or an octet above 127 with SERVFAIL; the secondaries answer as it does.
	for _, name := range []string{`dot\.dot.`, `sp\032ace.`, `b\252cher.`, "upper.", "UPPER.", `a=b*c,d.`, `any.star.`, `*.star.`, `octets\001\255.`} {
		for _, n := range secondaries {
			must(t, sameAnswer(t, n, name+zone, dns.TypeA))
		}
	}
	must(t, hasAnswer(t.Context(), `dot\.dot.`+zone, dns.TypeA, []string{"192.0.2.1"}, secondaries...))
}

// The API of PowerDNS (4.7 to 5.0) takes no escaped name for a zone, so such a zone cannot be made on a secondary. That is
// said with the zone's name, soon, and holds up no other zone.
func TestZoneNameThatTheAPIRefuses(t *testing.T) {
	parallel(t)
	const other = "unescaped.example."
	for _, zone := range []string{`in\.one.zone.example.`, `*.star.zone.example.`, `a>b.zone.example.`} {
		loadZone(t, zone, "$ORIGIN "+zone+`
@ 300 IN SOA ns1.example.net. hostmaster.example.net. 5 10800 3600 604800 60
@ 300 IN NS ns1.example.net.
`)
		publish(t, zone)
		waitStatus(t, zone, func(s syncStatus) error {
			for _, n := range secondaries {
				if h := s.of(n.name); h.State != "lagging" || !strings.Contains(h.Error, zone) || !strings.Contains(h.Error, "unsupported characters") {
					return wants(false, "want %s lagging, with PowerDNS's own word", n.name)
				}
			}
			return nil
		})
	}
	began := time.Now()
	primary.create(t, other, 1)
	waitServed(t, other, 1)
	t.Logf("another zone meanwhile: %s", time.Since(began).Round(time.Millisecond))
}
