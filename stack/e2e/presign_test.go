package e2e

import (
	"crypto"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// presigner signs zones as a signer outside PowerDNS would, with signatures of any age: PowerDNS makes only those of the
// present week.
type presigner struct {
	zone   string
	key    *dns.DNSKEY
	secret crypto.Signer
}

func newPresigner(t testing.TB, zone string) *presigner {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	secret, err := key.Generate(256)
	must(t, err)
	return &presigner{zone, key, secret.(crypto.Signer)}
}

// signed is the text of a zone with one address, www, and signatures that end at end.
func (p *presigner) signed(t testing.TB, end time.Time) string {
	t.Helper()
	www := "www." + p.zone
	zone := []string{
		p.zone + " 60 IN SOA ns1.example.net. hostmaster.example.net. 7 10800 3600 604800 60",
		p.zone + " 60 IN NS ns1.example.net.",
		www + " 60 IN A 192.0.2.1",
		p.zone + " 60 IN NSEC " + www + " NS SOA RRSIG NSEC DNSKEY",
		www + " 60 IN NSEC " + p.zone + " A RRSIG NSEC",
	}
	lines := []string{}
	for _, set := range append([]dns.RR{p.key}, records(t, zone)...) {
		sig := &dns.RRSIG{
			Hdr:       dns.RR_Header{Ttl: set.Header().Ttl},
			Algorithm: p.key.Algorithm, KeyTag: p.key.KeyTag(), SignerName: p.zone,
			Inception: uint32(end.AddDate(0, 0, -30).Unix()), Expiration: uint32(end.Unix()),
		}
		must(t, sig.Sign(p.secret, []dns.RR{set}))
		if set.Header().Rrtype != dns.TypeNSEC { // PowerDNS makes those anew from the names that it holds
			lines = append(lines, set.String())
		}
		lines = append(lines, sig.String())
	}
	return strings.Join(lines, "\n") + "\n"
}

func records(t testing.TB, lines []string) []dns.RR {
	t.Helper()
	rrs := make([]dns.RR, len(lines))
	for i, line := range lines {
		var err error
		rrs[i], err = dns.NewRR(line)
		must(t, err)
	}
	return rrs
}

// loadPresigned puts a signed zone into the primary's database, in place of what was there, past the API and at the same
// serial.
func (s *site) loadPresigned(t testing.TB, zone, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	s.pdnsutil(t, "load-zone", zone, file)
	s.pdnsutil(t, "set-presigned", zone)
}
