package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

const signingZone = " 60 IN SOA ns.example. a.example. 1 1800 900 604800 86400\n@ 60 IN NS ns.example.\nwww 60 IN A 192.0.2.1\n"

// PowerDNS (4.7.3) takes NSEC3 parameters of zones that they break, so whoever
// sets them must have asked before.
func TestSigningOfZones(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			server := pdnstest.Primary(t, backend)
			c := api.New(server.APIURL, server.APIKey)
			for _, zone := range []string{"live.example.", "rectify.example.", "old.example.", "presigned.example."} {
				server.CreateZone(t, zone, "@"+signingZone)
			}
			server.Sign(t, "live.example.", "", false)
			server.Sign(t, "rectify.example.", "", false)
			server.MustCall(t, http.MethodPut, "/zones/rectify.example.", map[string]any{"api_rectify": false})
			server.MustCall(t, http.MethodPost, "/zones/old.example./cryptokeys", map[string]any{
				"keytype": "csk", "active": true, "algorithm": "rsasha1", "bits": 1024,
			})
			server.Pdnsutil(t, "set-presigned", "presigned.example.")

			for zone, want := range map[string]pdns.NSEC3State{
				"live.example.": pdns.NSEC3Wanted, "rectify.example.": pdns.NSEC3Wanted,
				"old.example.": pdns.NSEC3OldKeys, "presigned.example.": pdns.NSEC3Presigned,
			} {
				if got := judge(t, c, zone); got != want {
					t.Errorf("%s: %s, want %s", zone, got, want)
				}
				if want != pdns.NSEC3Wanted {
					continue
				}
				if err := c.SetNSEC3(t.Context(), zone, pdns.NSEC3Parameters); err != nil {
					t.Fatal(err)
				}
				if got := judge(t, c, zone); got != pdns.NSEC3Set {
					t.Errorf("%s, once it is set: %s", zone, got)
				}
			}
			// Rectified: the name that lacks a type is proven to exist, by its hash.
			if got, want := denial(t, server.DNS, "www.rectify.example."), dns.HashName("www.rectify.example.", dns.SHA1, 0, ""); got != want {
				t.Errorf("denied with %q, want the hash %q", got, want)
			}
			err := c.SetNSEC3(t.Context(), "absent.example.", pdns.NSEC3Parameters)
			if err == nil || !strings.Contains(err.Error(), "absent.example.") {
				t.Errorf("a zone that is not there: %v", err)
			}
		})
	}
}

func judge(t *testing.T, c *api.Client, zone string) pdns.NSEC3State {
	t.Helper()
	held, err := c.Zone(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	presigned, err := c.Presigned(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := c.Keys(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	var algorithms []string
	for _, key := range keys {
		if key.Active {
			algorithms = append(algorithms, key.Algorithm)
		}
	}
	return pdns.JudgeNSEC3(presigned, held.NSEC3Param, algorithms)
}

// denial returns the hash by which a server proves that name has no AAAA record.
func denial(t *testing.T, server, name string) string {
	t.Helper()
	m := new(dns.Msg).SetQuestion(name, dns.TypeAAAA)
	m.SetEdns0(1232, true)
	in, err := dns.ExchangeContext(t.Context(), m, server)
	if err != nil {
		t.Fatal(err)
	}
	for _, rr := range in.Ns {
		if rr.Header().Rrtype == dns.TypeNSEC3 {
			return strings.ToUpper(dns.SplitDomainName(rr.Header().Name)[0])
		}
	}
	return ""
}
