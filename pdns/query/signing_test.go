package query_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

const signedZone = "@ 60 IN SOA ns.example. a.example. 1 1800 900 604800 86400\n@ 60 IN NS ns.example.\n*.wild 60 IN A 192.0.2.1\n"

// What PowerDNS answers with keys of several algorithms: the signatures of all
// verify, answers longer than a datagram come over TCP, and the signing is the
// same after a restart although ECDSA's octets are not.
func TestSigningOfPowerDNS(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			server := pdnstest.Primary(t, backend)
			var client query.Client
			const zone = "signed.example."
			server.CreateZone(t, zone, signedZone)
			if got, err := client.Signing(t.Context(), server.DNS, zone); err != nil || got != (pdns.Signing{}) {
				t.Errorf("unsigned: %+v, %v", got, err)
			}
			for _, key := range []map[string]any{
				{"keytype": "ksk", "active": true, "algorithm": "ecdsa256"}, {"keytype": "zsk", "active": true, "algorithm": "ecdsa256"},
				{"keytype": "csk", "active": true, "algorithm": "rsasha256", "bits": 2048}, {"keytype": "csk", "active": true, "algorithm": "rsasha512", "bits": 4096},
			} {
				server.MustCall(t, http.MethodPost, "/zones/"+zone+"/cryptokeys", key)
			}
			server.MustCall(t, http.MethodPut, "/zones/"+zone+"/rectify", nil)
			server.Restart(t) // what it knew of the zone's keys is cached for a minute
			now := time.Now()
			first, err := client.Signing(t.Context(), server.DNS, zone)
			if err != nil {
				t.Fatal(err)
			}
			if want := pdns.LastSignatureRoll(now).AddDate(0, 0, 14); !first.Expires.Equal(want) {
				t.Errorf("expires %s, want %s", first.Expires, want)
			}
			soa := verified(t, &client, server.DNS, zone, now)
			server.Restart(t)
			again, err := client.Signing(t.Context(), server.DNS, zone)
			if err != nil || again != first {
				t.Errorf("after a restart: %+v, %v; before %+v", again, err, first)
			}
			if verified(t, &client, server.DNS, zone, now) == soa {
				t.Error("ECDSA made the same octets twice")
			}
		})
	}
}

// verified verifies all that is at the top of the zone and returns the octets of
// its SOA's signature by ECDSA.
func verified(t *testing.T, client *query.Client, server, zone string, now time.Time) (octets string) {
	t.Helper()
	answer, err := client.SignedSet(t.Context(), server, zone, dns.TypeDNSKEY)
	if err != nil {
		t.Fatal(err)
	}
	var keys []*dns.DNSKEY
	for _, rr := range answer.Records {
		keys = append(keys, rr.(*dns.DNSKEY))
	}
	if len(keys) != 4 {
		t.Fatalf("%d keys", len(keys))
	}
	for _, q := range []struct {
		name   string
		rrtype uint16
	}{{zone, dns.TypeSOA}, {zone, dns.TypeNS}, {zone, dns.TypeDNSKEY}, {"some.wild." + zone, dns.TypeA}} {
		set, err := client.SignedSet(t.Context(), server, q.name, q.rrtype)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Served(); err != nil {
			t.Errorf("%s %d: %v", q.name, q.rrtype, err)
		}
		if err := pdns.VerifySet(zone, set.Records, set.Signatures, keys, now); err != nil {
			t.Error(err)
		}
		for _, sig := range set.Signatures {
			if q.rrtype == dns.TypeSOA && sig.Algorithm == dns.ECDSAP256SHA256 {
				octets = sig.Signature
			}
		}
	}
	return octets
}

// signingServer is a PowerDNS that signs a zone.
func signingServer(t *testing.T, backend string) (server *pdnstest.Server, zone string) {
	t.Helper()
	server, zone = pdnstest.Primary(t, backend), "signed.example."
	server.CreateZone(t, zone, signedZone)
	server.Sign(t, zone, "", false)
	return server, zone
}

// A change of keys shows at once, whatever PowerDNS's packet cache holds.
func TestSigningUncached(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			server, zone := signingServer(t, backend)
			cached, uncached := query.Client{}, query.Client{Uncached: true}
			before, err := cached.Signing(t.Context(), server.DNS, zone)
			if err != nil {
				t.Fatal(err)
			}
			server.Sign(t, zone, "", false) // one more key
			if still, err := cached.Signing(t.Context(), server.DNS, zone); err != nil || still != before {
				t.Fatalf("%+v, %v: then asking past the cache is not needed", still, err)
			}
			if now, err := uncached.Signing(t.Context(), server.DNS, zone); err != nil || now.Mark == before.Mark {
				t.Errorf("%+v, %v", now, err)
			}
		})
	}
}

// A key that is published ahead of a rollover signs nothing, and shows all the same.
func TestSigningOfAKeyThatSignsNothing(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			server, zone := signingServer(t, backend)
			client := query.Client{Uncached: true}
			before, err := client.Signing(t.Context(), server.DNS, zone)
			if err != nil || before.Keys == "" {
				t.Fatalf("%+v, %v", before, err)
			}
			server.MustCall(t, http.MethodPost, "/zones/"+zone+"/cryptokeys",
				map[string]any{"keytype": "zsk", "active": false, "published": true, "algorithm": "ecdsa256"})
			after, err := client.Signing(t.Context(), server.DNS, zone)
			if err != nil || after.Keys == before.Keys || after.Mark != before.Mark {
				t.Errorf("%+v, %v; before %+v", after, err, before)
			}
		})
	}
}

func TestSigningOfWhatIsNotServed(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	server.CreateZone(t, "parent.example.", signedZone)
	server.Sign(t, "parent.example.", "", false)
	client := query.Client{Timeout: 200 * time.Millisecond}
	for zone, want := range map[string]string{
		"absent.example.":        "REFUSED",
		"below.parent.example.":  "NXDOMAIN",
		"x.wild.parent.example.": "no such record", // the wildcard's name, not a zone
	} {
		_, err := client.Signing(t.Context(), server.DNS, zone)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), zone) {
			t.Errorf("%s: %v", zone, err)
		}
	}
	gone := fake(t, func(dns.ResponseWriter, *dns.Msg) {})
	if _, err := client.Signing(t.Context(), gone, "parent.example."); err == nil || !strings.Contains(err.Error(), gone) {
		t.Errorf("a server that is silent: %v", err)
	}
}
