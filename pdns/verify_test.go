package pdns

import (
	"crypto"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// signer is a zone's key with its secret.
type signer struct {
	key    *dns.DNSKEY
	secret crypto.Signer
}

func newSigner(t *testing.T, zone string, algorithm uint8, bits int) signer {
	t.Helper()
	key := &dns.DNSKEY{
		Hdr:   dns.RR_Header{Name: zone, Rrtype: dns.TypeDNSKEY, Class: dns.ClassINET, Ttl: 60},
		Flags: 257, Protocol: 3, Algorithm: algorithm,
	}
	secret, err := key.Generate(bits)
	if err != nil {
		t.Fatal(err)
	}
	return signer{key, secret.(crypto.Signer)}
}

func (s signer) sign(t *testing.T, set []dns.RR, inception, expiration time.Time) *dns.RRSIG {
	t.Helper()
	sig := &dns.RRSIG{
		Algorithm: s.key.Algorithm, KeyTag: s.key.KeyTag(), SignerName: s.key.Hdr.Name,
		Inception: uint32(inception.Unix()), Expiration: uint32(expiration.Unix()),
	}
	if err := sig.Sign(s.secret, set); err != nil {
		t.Fatal(err)
	}
	return sig
}

// Keys of different algorithms sign beside each other; each of them must do so
// rightly, and what the library cannot check is not held against a zone.
func TestVerifySet(t *testing.T) {
	const zone = "example."
	now := at(t, "2020-05-14T12:00:00Z") // signed in the past, checked by a clock of the past
	from, to := now.AddDate(0, 0, -7), now.AddDate(0, 0, 14)
	ecdsa, rsa := newSigner(t, zone, dns.ECDSAP256SHA256, 256), newSigner(t, zone, dns.RSASHA256, 1024)
	ed, stranger := newSigner(t, zone, dns.ED25519, 256), newSigner(t, zone, dns.ECDSAP256SHA256, 256)
	keys := []*dns.DNSKEY{ecdsa.key, rsa.key, ed.key}
	set := parseZone(t, "www 60 IN A 192.0.2.1\nwww 60 IN A 192.0.2.2\n")
	good := []*dns.RRSIG{ecdsa.sign(t, set, from, to), rsa.sign(t, set, from, to), ed.sign(t, set, from, to)}
	broken := func(sig *dns.RRSIG) *dns.RRSIG {
		octets, err := base64.StdEncoding.DecodeString(sig.Signature)
		if err != nil {
			t.Fatal(err)
		}
		octets[len(octets)-1] ^= 1
		bad := *sig
		bad.Signature = base64.StdEncoding.EncodeToString(octets)
		return &bad
	}
	unknown := *good[0]
	unknown.Algorithm = dns.ED448
	for name, tt := range map[string]struct {
		set  []dns.RR
		sigs []*dns.RRSIG
		want string
	}{
		"three algorithms":      {set, good, ""},
		"one":                   {set, good[1:2], ""},
		"one of two of a kind":  {set, []*dns.RRSIG{broken(good[0]), good[0]}, ""},
		"none":                  {set, nil, "www.example. A has no signature"},
		"no records":            {nil, good, "no records"},
		"one algorithm broken":  {set, []*dns.RRSIG{good[0], broken(good[1]), good[2]}, "signature of www.example. A with RSASHA256"},
		"another TTL is right":  {parseZone(t, "www 5 IN A 192.0.2.1\nwww 5 IN A 192.0.2.2\n"), good, ""},
		"a record lost":         {set[:1], good, "signature of www.example. A"},
		"another record":        {parseZone(t, "www 60 IN A 192.0.2.1\nwww 60 IN A 192.0.2.3\n"), good, "signature of www.example. A"},
		"a stranger's key":      {set, []*dns.RRSIG{stranger.sign(t, set, from, to)}, "is not among the zone's keys"},
		"past":                  {set, []*dns.RRSIG{ecdsa.sign(t, set, from.AddDate(0, 0, -30), now.Add(-time.Second))}, "2020-05-14 11:59:59"},
		"not begun":             {set, []*dns.RRSIG{ecdsa.sign(t, set, now.Add(time.Second), to)}, "it is valid from"},
		"an unknown algorithm":  {set, []*dns.RRSIG{good[0], &unknown}, "is not among the zone's keys"},
		"signatures of another": {set, []*dns.RRSIG{ecdsa.sign(t, parseZone(t, "www 60 IN TXT x\n"), from, to)}, "has no signature"},
	} {
		err := VerifySet(zone, tt.set, tt.sigs, keys, now)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
	unknownKey := *ecdsa.key
	unknownKey.Algorithm = dns.ED448
	unknown.KeyTag = unknownKey.KeyTag()
	if err := VerifySet(zone, set, []*dns.RRSIG{good[0], &unknown}, append(keys, &unknownKey), now); err != nil {
		t.Errorf("an algorithm that cannot be checked: %v", err)
	}
	elsewhere := newSigner(t, "elsewhere.", dns.ECDSAP256SHA256, 256)
	if err := VerifySet(zone, set, []*dns.RRSIG{elsewhere.sign(t, set, from, to)}, keys, now); err == nil || !strings.Contains(err.Error(), "elsewhere.") {
		t.Errorf("another zone's key: %v", err)
	}
}

func TestJudgeNSEC3(t *testing.T) {
	for _, tt := range []struct {
		presigned  bool
		param      string
		algorithms []string
		want       NSEC3State
	}{
		{false, "", []string{"ECDSAP256SHA256"}, NSEC3Wanted},
		{false, "", []string{"RSASHA256", "ED25519"}, NSEC3Wanted},
		{false, "", []string{"RSASHA1-NSEC3-SHA1"}, NSEC3Wanted},
		{false, "", []string{"ECDSAP256SHA256", "RSASHA1"}, NSEC3OldKeys},
		{false, "", []string{"DSA"}, NSEC3OldKeys},
		{false, "1 1 5 ab12", []string{"ECDSAP256SHA256"}, NSEC3Set},
		{false, NSEC3Parameters, nil, NSEC3Set},
		{false, "", nil, NSEC3Set},
		{true, "", nil, NSEC3Presigned},
		{true, "", []string{"ECDSAP256SHA256"}, NSEC3Presigned},
	} {
		if got := JudgeNSEC3(tt.presigned, tt.param, tt.algorithms); got != tt.want {
			t.Errorf("%+v: %s", tt, got)
		}
	}
}
