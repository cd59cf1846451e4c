package query_test

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

func TestSOAOfPowerDNS(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	const soa = " 60 IN SOA ns.example. a.example. 3000000000 1800 900 604800 86400\n"
	server.CreateZone(t, "parent.example.", "@"+soa+"@ 60 IN NS ns.example.\n*.wild 60 IN A 192.0.2.1\n")
	server.CreateZone(t, "0/26.2.0.192.in-addr.arpa.", "@"+soa)
	tests := []struct {
		zone   string
		served bool
		rcode  int
	}{
		{"parent.example.", true, dns.RcodeSuccess},
		{"0/26.2.0.192.in-addr.arpa.", true, dns.RcodeSuccess},
		{"child.parent.example.", false, dns.RcodeNameError},
		{"x.wild.parent.example.", false, dns.RcodeSuccess},
		{"elsewhere.example.", false, dns.RcodeRefused},
	}
	var client query.Client
	for _, tt := range tests {
		got, err := client.SOA(t.Context(), server.DNS, tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got.Served(tt.zone) != tt.served || got.Rcode != tt.rcode {
			t.Errorf("%s: %+v, want served %v, rcode %d", tt.zone, got, tt.served, tt.rcode)
		}
		if tt.served && got.Serial != 3000000000 {
			t.Errorf("%s: serial %d", tt.zone, got.Serial)
		}
	}
	server.MustCall(t, http.MethodDelete, "/zones/parent.example.", nil)
	if got, err := client.SOA(t.Context(), server.DNS, "parent.example."); err != nil || got.Served("parent.example.") {
		t.Errorf("deleted zone: %+v, %v", got, err)
	}
}

// A new serial shows at once, whatever PowerDNS's packet cache holds.
func TestSOAUncached(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	const zone = "cached.example."
	server.CreateZone(t, zone, "@ 60 IN SOA ns.example. a.example. 1 1800 900 604800 86400\n@ 60 IN NS ns.example.\n")
	cached, uncached := query.Client{}, query.Client{Uncached: true}
	for _, step := range []struct {
		client query.Client
		want   uint32
	}{{cached, 1}, {cached, 1}, {uncached, 2}} {
		got, err := step.client.SOA(t.Context(), server.DNS, zone)
		if err != nil || got.Serial != step.want || !got.Served(zone) {
			t.Fatalf("%+v: %+v, %v", step, got, err)
		}
		server.SQL(t, "UPDATE records SET content = 'ns.example. a.example. 2 1800 900 604800 86400' WHERE type = 'SOA'")
	}
}

// fake answers on UDP and TCP as handler does and returns its address.
func fake(t *testing.T, handler dns.HandlerFunc) string {
	t.Helper()
	tcp, udp := freePort(t)
	for _, server := range []*dns.Server{{PacketConn: udp, Handler: handler}, {Listener: tcp, Handler: handler}} {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		go server.ActivateAndServe()
		<-started
		t.Cleanup(func() { server.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// freePort opens a port that is free for both, which the system does not look for.
func freePort(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 50 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if udp, err := net.ListenPacket("udp", tcp.Addr().String()); err == nil {
			return tcp, udp
		}
		tcp.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func isUDP(w dns.ResponseWriter) bool { return w.RemoteAddr().Network() == "udp" }

func answer(q *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(q)
	m.Authoritative = true
	rr, err := dns.NewRR("Example.ORG. 60 IN SOA ns a 5 1 1 1 1")
	if err != nil {
		panic(err)
	}
	m.Answer = []dns.RR{rr}
	return m
}

func TestServed(t *testing.T) {
	const zone = "example.org."
	tests := []struct {
		name   string
		change func(*dns.Msg)
		want   bool
	}{
		{"served, in another case", func(*dns.Msg) {}, true},
		{"not authoritative", func(m *dns.Msg) { m.Authoritative = false }, false},
		{"SERVFAIL", func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure }, false},
		{"SOA in the authority section", func(m *dns.Msg) { m.Ns, m.Answer = m.Answer, nil }, false},
		{"the parent's SOA", func(m *dns.Msg) { m.Answer[0].Header().Name = "org." }, false},
		{"nothing", func(m *dns.Msg) { m.Answer = nil }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := fake(t, func(w dns.ResponseWriter, q *dns.Msg) {
				m := answer(q)
				tt.change(m)
				w.WriteMsg(m)
			})
			var client query.Client
			got, err := client.SOA(t.Context(), server, zone)
			if err != nil {
				t.Fatal(err)
			}
			if got.Served(zone) != tt.want {
				t.Errorf("%+v: served %v, want %v", got, got.Served(zone), tt.want)
			}
		})
	}
}

func TestTCPAfterTruncation(t *testing.T) {
	server := fake(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := answer(q)
		if isUDP(w) {
			m.Truncated, m.Answer = true, nil
		}
		w.WriteMsg(m)
	})
	var client query.Client
	if got, err := client.SOA(t.Context(), server, "example.org."); err != nil || got.Serial != 5 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestTCPAfterLostDatagram(t *testing.T) {
	var lost atomic.Int32
	server := fake(t, func(w dns.ResponseWriter, q *dns.Msg) {
		if isUDP(w) {
			lost.Add(1)
			return
		}
		w.WriteMsg(answer(q))
	})
	for _, tt := range []struct{ timeout, all time.Duration }{
		{100 * time.Millisecond, time.Minute},
		{0, query.DefaultTimeout}, // as most ask: the whole question has as long as one try may take
	} {
		lost.Store(0)
		ctx, cancel := context.WithTimeout(t.Context(), tt.all)
		defer cancel()
		client := query.Client{Timeout: tt.timeout}
		got, err := client.SOA(ctx, server, "example.org.")
		if err != nil || got.Serial != 5 || lost.Load() != 1 {
			t.Errorf("%+v: %+v, %v after %d datagrams", tt, got, err, lost.Load())
		}
	}
}

func TestNoAnswer(t *testing.T) {
	silent := fake(t, func(dns.ResponseWriter, *dns.Msg) {})
	client := query.Client{Timeout: 50 * time.Millisecond}
	for _, server := range []string{silent, "127.0.0.1:1"} {
		_, err := client.SOA(t.Context(), server, "example.org.")
		if err == nil || !strings.Contains(err.Error(), server) || !strings.Contains(err.Error(), "example.org.") {
			t.Errorf("server %s: %v, want an error that names server and zone", server, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := (&query.Client{}).SOA(ctx, silent, "example.org."); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context that ends: %v", err)
	}
}

// A broken answer and one to another question are no answers.
func TestGarbage(t *testing.T) {
	server := fake(t, func(w dns.ResponseWriter, q *dns.Msg) {
		m := answer(q)
		m.Id++
		w.WriteMsg(m)
		w.Write([]byte("garbage"))
	})
	client := query.Client{Timeout: 100 * time.Millisecond}
	if got, err := client.SOA(t.Context(), server, "example.org."); err == nil {
		t.Errorf("garbage is taken as %+v", got)
	}
}
