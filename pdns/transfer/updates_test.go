package transfer_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// One zone goes through the states of its life: what PowerDNS held before must
// not matter for what it takes.
func TestUpdatesComeThrough(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			const zone = "life.example."
			source := pdnstest.Primary(t, pdnstest.SQLite)
			taker := startTaker(t, backend)
			steps := []struct {
				name   string
				change func()
			}{
				{"created", func() { source.CreateZone(t, zone, everything) }},
				{"changed with the same serial", func() {
					source.Replace(t, zone, pdnstest.RRset{Name: "www.life.example.", Type: "A", TTL: 5, Content: []string{"192.0.2.99"}})
				}},
				{"signed with the same serial", func() { source.Sign(t, zone, "", false) }},
				{"from NSEC to NSEC3", func() {
					source.MustCall(t, http.MethodPut, "/zones/"+zone, map[string]any{"nsec3param": "1 0 0 -"})
					source.MustCall(t, http.MethodPut, "/zones/"+zone+"/rectify", nil)
				}},
				{"changed while signed, serial across the wrap", func() {
					source.Replace(t, zone,
						pdnstest.RRset{Name: zone, Type: "SOA", TTL: 3600, Content: []string{"ns1.example.net. h.example.net. 3 1800 900 604800 86400"}},
						pdnstest.RRset{Name: "new.ent.deep.life.example.", Type: "TXT", TTL: 5, Content: []string{`"new"`}})
				}},
				{"created anew: unsigned, lower serial, less content", func() {
					source.MustCall(t, http.MethodDelete, "/zones/"+zone, nil)
					source.CreateZone(t, zone, strings.Replace(head, "4000000000", "1", 1))
				}},
				{"serial zero", func() {
					source.Replace(t, zone, pdnstest.RRset{
						Name: zone, Type: "SOA", TTL: 3600, Content: []string{"ns1.example.net. h.example.net. 0 1800 900 604800 86400"},
					})
				}},
			}
			for _, step := range steps {
				t.Logf("step %q", step.name)
				step.change()
				content, sum := pull(t, source, zone)
				taker.bring(t, zone, content)
				taker.mustServe(t, zone, sum)
				if t.Failed() {
					t.FailNow()
				}
			}
			if err := taker.api.DeleteZone(t.Context(), zone); err != nil {
				t.Fatal(err)
			}
			var client query.Client
			if answer, err := client.SOA(t.Context(), taker.DNS, zone); err != nil || answer.Served(zone) {
				t.Errorf("deleted zone: %+v, %v", answer, err)
			}
		})
	}
}

// counted counts what passes through a SOALookup.
type counted struct {
	transfer.SOALookup
	n atomic.Int32
}

func (c *counted) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	c.n.Add(1)
	return c.SOALookup.Exchange(ctx, q)
}

// PowerDNS looks after its zones by asking the transfer server for their SOA.
// It must find the version that it has, also while a newer one is on offer, and so start no
// transfer of its own.
func TestPowerDNSStartsNoTransfers(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			const zone = "fresh.example."
			source := pdnstest.Primary(t, pdnstest.SQLite)
			server := pdnstest.Secondary(t, backend, "xfr-cycle-interval=1")
			lookups := &counted{SOALookup: query.Local{Client: &query.Client{}, Server: server.DNS}}
			taker := taker{Server: server, api: api.New(server.APIURL, server.APIKey), transfer: startServer(t, lookups)}

			eager := strings.Replace(head, "4000000000 1800 900", "4000000000 1 1", 1)
			source.CreateZone(t, zone, eager)
			source.Sign(t, zone, "", false)
			content, sum := pull(t, source, zone)
			taker.bring(t, zone, content)
			taker.mustServe(t, zone, sum)

			source.Replace(t, zone, pdnstest.RRset{
				Name: zone, Type: "SOA", TTL: 3600, Content: []string{"ns1.example.net. h.example.net. 4000000009 1 1 604800 86400"},
			})
			newer, _ := pull(t, source, zone)
			offer := taker.transfer.Offer(zone, 2, opener(newer))
			defer offer.Withdraw()
			before := lookups.n.Load()
			within(t, 30*time.Second, func() bool { return lookups.n.Load() >= before+3 }, func() string {
				return fmt.Sprintf("PowerDNS checked the zone %d times", lookups.n.Load()-before)
			})
			select {
			case <-offer.Started():
				t.Error("PowerDNS began a transfer on its own")
			default:
			}
			taker.mustServe(t, zone, sum)
		})
	}
}

// The SOA that the transfer server relays is the one that the PowerDNS behind
// it gives, signature included.
func TestRelayedSOA(t *testing.T) {
	const zone = "relay.example."
	source := pdnstest.Primary(t, pdnstest.SQLite)
	source.CreateZone(t, zone, head)
	source.Sign(t, zone, "", false)
	taker := startTaker(t, pdnstest.LMDB)
	content, sum := pull(t, source, zone)

	q := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
	q.SetEdns0(1232, true)
	if m := ask(t, taker.transfer, "udp", q); m.Rcode != dns.RcodeRefused {
		t.Errorf("before there is anything:\n%v", m)
	}
	offer := taker.transfer.Offer(zone, 1, opener(content))
	if m := ask(t, taker.transfer, "udp", q); m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 {
		t.Errorf("on offer and not served:\n%v", m)
	}
	offer.Withdraw()
	taker.bring(t, zone, content)
	taker.mustServe(t, zone, sum)
	var client query.Client
	for _, signed := range []bool{false, true} {
		q := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
		q.SetEdns0(1232, signed)
		direct, err := client.Exchange(t.Context(), taker.DNS, q)
		if err != nil {
			t.Fatal(err)
		}
		relayed := ask(t, taker.transfer, "udp", q)
		byType := func(a, b dns.RR) int { return int(a.Header().Rrtype) - int(b.Header().Rrtype) }
		slices.SortFunc(direct.Answer, byType)
		slices.SortFunc(relayed.Answer, byType)
		if fmt.Sprint(relayed.Answer) != fmt.Sprint(direct.Answer) || len(relayed.Answer) == 0 {
			t.Errorf("DO %v: relayed %v, PowerDNS answers %v", signed, relayed.Answer, direct.Answer)
		}
	}
}
