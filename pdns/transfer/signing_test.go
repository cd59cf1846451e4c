package transfer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// What PowerDNS has cached of a zone's signing outlives a flush of its caches, and not the begin of an AXFR.
func TestForgetSigning(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	const zone = "forget.example."
	server.CreateZone(t, zone, "forget.example. 60 IN SOA ns1.example.net. hostmaster.example.net. 1 10800 3600 604800 60\n")
	server.Sign(t, zone, "", false)
	denial := func(name string) string {
		t.Helper()
		m := new(dns.Msg).SetQuestion(name+zone, dns.TypeA)
		m.SetEdns0(1232, true)
		in, err := dns.ExchangeContext(t.Context(), m, server.DNS)
		if err != nil {
			t.Fatal(err)
		}
		for _, rr := range in.Ns {
			if rr.Header().Rrtype == dns.TypeNSEC {
				return "NSEC"
			}
		}
		return "other"
	}
	if got := denial("a."); got != "NSEC" {
		t.Fatalf("at first %s", got)
	}
	server.Pdnsutil(t, "set-nsec3", zone, "1 0 0 -") // past the server
	if err := api.New(server.APIURL, server.APIKey).FlushCache(t.Context(), zone); err != nil {
		t.Fatal(err)
	}
	if got := denial("b."); got != "NSEC" {
		t.Fatalf("%s after a flush: then ForgetSigning is not needed", got)
	}
	if err := transfer.ForgetSigning(t.Context(), server.DNS, zone); err != nil {
		t.Fatal(err)
	}
	if got := denial("c."); got == "NSEC" {
		t.Error("still NSEC")
	}
	err := transfer.ForgetSigning(t.Context(), server.DNS, "absent.example.")
	if !errors.Is(err, transfer.ErrRefused) || !strings.Contains(err.Error(), "absent.example.") {
		t.Errorf("a zone that is not there: %v", err)
	}
}
