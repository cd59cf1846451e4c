package pdnstest

import (
	"crypto"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// Signer signs zones as a signer outside PowerDNS would, with signatures of any
// age: PowerDNS itself only makes those of the present week.
type Signer struct {
	zone   string
	key    *dns.DNSKEY
	secret crypto.Signer
}

// NewSigner makes a signer with one ECDSA key for zone.
func NewSigner(t testing.TB, zone string) *Signer {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: 257, Protocol: 3, Algorithm: dns.ECDSAP256SHA256,
	}
	made, err := key.Generate(256)
	if err != nil {
		t.Fatal(err)
	}
	secret, ok := made.(crypto.Signer)
	if !ok {
		t.Fatalf("a key of type %T cannot sign", made)
	}
	return &Signer{zone, key, secret}
}

// Sign returns the text of the zone with keys and signatures valid from from to
// to, those of the NSEC records too. These themselves are left out: PowerDNS
// makes them anew from the names that it holds, so that the text must have
// neither delegations nor empty non-terminals, and the SOA's minimum as its TTL.
func (s *Signer) Sign(t testing.TB, text string, from, to time.Time) string {
	t.Helper()
	rrs := []dns.RR{s.key}
	parser := dns.NewZoneParser(strings.NewReader(text), s.zone, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	rrs = append(rrs, s.denials(rrs)...)
	var signed strings.Builder
	for _, set := range setsOf(rrs) {
		sig := &dns.RRSIG{
			Hdr:       dns.RR_Header{Ttl: set[0].Header().Ttl},
			Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(), SignerName: s.zone,
			Inception: uint32(from.Unix()), Expiration: uint32(to.Unix()),
		}
		if err := sig.Sign(s.secret, set); err != nil {
			t.Fatal(err)
		}
		if set[0].Header().Rrtype == dns.TypeNSEC {
			set = nil // PowerDNS makes those anew
		}
		for _, rr := range append(set, sig) {
			signed.WriteString(rr.String() + "\n")
		}
	}
	return signed.String()
}

// denials are the NSEC records between the names of rrs.
func (s *Signer) denials(rrs []dns.RR) []dns.RR {
	types := make(map[string][]uint16)
	ttl := uint32(0)
	for _, rr := range rrs {
		types[rr.Header().Name] = append(types[rr.Header().Name], rr.Header().Rrtype)
		if soa, ok := rr.(*dns.SOA); ok {
			ttl = soa.Minttl
		}
	}
	names := make([]string, 0, len(types))
	for name := range types {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return slices.Compare(fromRoot(a), fromRoot(b)) })
	nsecs := make([]dns.RR, len(names))
	for i, name := range names {
		bitmap := append(types[name], dns.TypeRRSIG, dns.TypeNSEC)
		slices.Sort(bitmap)
		nsecs[i] = &dns.NSEC{
			Hdr:        dns.RR_Header{Name: name, Rrtype: dns.TypeNSEC, Class: dns.ClassINET, Ttl: ttl},
			NextDomain: names[(i+1)%len(names)], TypeBitMap: slices.Compact(bitmap),
		}
	}
	return nsecs
}

// fromRoot returns the labels of a name, the last one first.
func fromRoot(name string) []string {
	labels := dns.SplitDomainName(dns.CanonicalName(name))
	slices.Reverse(labels)
	return labels
}

// setsOf groups records into RRsets, in the order of their first records.
func setsOf(rrs []dns.RR) [][]dns.RR {
	type of struct {
		name   string
		rrtype uint16
	}
	var order []of
	sets := make(map[of][]dns.RR)
	for _, rr := range rrs {
		key := of{rr.Header().Name, rr.Header().Rrtype}
		if sets[key] == nil {
			order = append(order, key)
		}
		sets[key] = append(sets[key], rr)
	}
	grouped := make([][]dns.RR, len(order))
	for i, key := range order {
		grouped[i] = sets[key]
	}
	return grouped
}
