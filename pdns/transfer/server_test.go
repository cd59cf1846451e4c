package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// lookup is a SOALookup from a function.
type lookup func(q *dns.Msg) (*dns.Msg, error)

func (l lookup) Exchange(_ context.Context, q *dns.Msg) (*dns.Msg, error) { return l(q) }

// serving is a local PowerDNS that serves the zones of these records.
func serving(texts ...string) lookup {
	return func(q *dns.Msg) (*dns.Msg, error) {
		m := new(dns.Msg).SetReply(q)
		for _, text := range texts {
			rr, err := dns.NewRR(text)
			if err != nil {
				return nil, err
			}
			if rr.Header().Name == q.Question[0].Name {
				m.Authoritative = true
				m.Answer = append(m.Answer, rr)
			}
		}
		if !m.Authoritative {
			m.Rcode = dns.RcodeRefused
		}
		return m, nil
	}
}

// servingNothing refuses every question.
var servingNothing = serving()

const (
	servedSOA    = "served.example. 60 IN SOA ns a 7 1 1 1 1"
	servedSOASig = "served.example. 60 IN RRSIG SOA 13 2 60 20300101000000 20250101000000 1 served.example. AAAA"
)

func ask(t testing.TB, server *transfer.Server, network string, q *dns.Msg) *dns.Msg {
	t.Helper()
	client := dns.Client{Net: network, Timeout: 10 * time.Second}
	m, _, err := client.ExchangeContext(t.Context(), q, server.Addr())
	if err != nil {
		t.Fatalf("%s %v: %v", network, q.Question, err)
	}
	return m
}

func TestServerAnswers(t *testing.T) {
	server := startServer(t, serving(servedSOA, servedSOASig))
	content, _ := encode(t, soaLine)
	server.Offer("example.", 1, opener(content))
	newer, _ := encode(t, strings.ReplaceAll(soaLine, "example. 3600", "served.example. 3600"))
	server.Offer("served.example.", 2, opener(newer))

	question := func(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }
	do := func(q *dns.Msg) *dns.Msg { return q.SetEdns0(1232, true) }
	ixfr := func(name string) *dns.Msg { return new(dns.Msg).SetIxfr(name, 1, "ns.", "a.") }
	notify := new(dns.Msg).SetNotify("example.")
	update := new(dns.Msg).SetUpdate("example.")
	chaos := question("example.", dns.TypeSOA)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	two := question("example.", dns.TypeSOA)
	two.Question = append(two.Question, two.Question[0])

	tests := []struct {
		name    string
		q       *dns.Msg
		rcode   int
		answers int
		serial  uint32
		network []string // both when empty
	}{
		{name: "SOA of a served zone, also when a newer version is on offer", q: question("served.example.", dns.TypeSOA), answers: 1, serial: 7},
		{name: "with its signature", q: do(question("served.example.", dns.TypeSOA)), answers: 2, serial: 7},
		{name: "in upper case", q: question("SERVED.example.", dns.TypeSOA), answers: 1, serial: 7},
		{name: "SOA of a zone on offer that is not served yet", q: question("example.", dns.TypeSOA), answers: 1, serial: 3000000001},
		{name: "the same with DO", q: do(question("Example.", dns.TypeSOA)), answers: 1, serial: 3000000001},
		{name: "SOA of another zone", q: question("other.", dns.TypeSOA), rcode: dns.RcodeRefused},
		{name: "SOA below a served zone", q: question("x.served.example.", dns.TypeSOA), rcode: dns.RcodeRefused},
		{name: "AXFR of a zone that is served and not on offer", q: new(dns.Msg).SetAxfr("other."), rcode: dns.RcodeRefused},
		{name: "AXFR over UDP", q: new(dns.Msg).SetAxfr("example."), rcode: dns.RcodeRefused, network: []string{"udp"}},
		{name: "IXFR", q: ixfr("example."), rcode: dns.RcodeNotImplemented},
		{name: "NOTIFY", q: notify, rcode: dns.RcodeNotImplemented},
		{name: "UPDATE", q: update, rcode: dns.RcodeNotImplemented},
		{name: "another type", q: question("example.", dns.TypeA), rcode: dns.RcodeRefused},
		{name: "ANY", q: question("example.", dns.TypeANY), rcode: dns.RcodeRefused},
		{name: "another class", q: chaos, rcode: dns.RcodeRefused},
		{name: "two questions", q: two, rcode: dns.RcodeFormatError},
	}
	for _, tt := range tests {
		networks := tt.network
		if networks == nil {
			networks = []string{"udp", "tcp"}
		}
		for _, network := range networks {
			t.Run(tt.name+", "+network, func(t *testing.T) {
				m := ask(t, server, network, tt.q)
				if m.Rcode != tt.rcode || len(m.Answer) != tt.answers {
					t.Fatalf("answer is\n%v\nwant %s with %d records", m, dns.RcodeToString[tt.rcode], tt.answers)
				}
				if m.Id != tt.q.Id || (m.IsEdns0() == nil) != (tt.q.IsEdns0() == nil) {
					t.Errorf("ID or EDNS do not fit the question:\n%v", m)
				}
				if tt.answers == 0 {
					return
				}
				soa, ok := m.Answer[0].(*dns.SOA)
				if !ok || soa.Serial != tt.serial || !m.Authoritative {
					t.Errorf("answer is\n%v\nwant serial %d", m, tt.serial)
				}
			})
		}
	}
}

// What only looks as if the local PowerDNS served the zone must not count.
func TestServerRelaysOnlyAuthority(t *testing.T) {
	for name, change := range map[string]func(*dns.Msg){
		"no authority":      func(m *dns.Msg) { m.Authoritative = false },
		"SERVFAIL":          func(m *dns.Msg) { m.Rcode = dns.RcodeServerFailure },
		"SOA of the parent": func(m *dns.Msg) { m.Ns, m.Answer = m.Answer, nil },
	} {
		t.Run(name, func(t *testing.T) {
			server := startServer(t, lookup(func(q *dns.Msg) (*dns.Msg, error) {
				m, err := serving(servedSOA)(q)
				change(m)
				return m, err
			}))
			if m := ask(t, server, "udp", new(dns.Msg).SetQuestion("served.example.", dns.TypeSOA)); m.Rcode != dns.RcodeRefused {
				t.Errorf("answer is\n%v\nwant REFUSED", m)
			}
		})
	}
}

// With the local PowerDNS silent, nobody knows which version is applied.
func TestServerWithoutLocal(t *testing.T) {
	server := startServer(t, lookup(func(*dns.Msg) (*dns.Msg, error) { return nil, errors.New("silent") }))
	content, _ := encode(t, soaLine)
	server.Offer("example.", 1, opener(content))
	if m := ask(t, server, "udp", new(dns.Msg).SetQuestion("example.", dns.TypeSOA)); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("answer is\n%v\nwant SERVFAIL", m)
	}
	if _, err := transfer.DigestOf(t.Context(), server.Addr(), "example."); err != nil {
		t.Errorf("transfer: %v", err)
	}
}

func TestServerStopsWithContext(t *testing.T) {
	server, err := transfer.NewServer("127.0.0.1:0", servingNothing, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	offer := server.Offer("example.", 1, func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(untilDone{ctx}), nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	go transfer.DigestOf(t.Context(), server.Addr(), "example.")
	<-offer.Started()
	cancel()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(4 * time.Second):
		t.Error("a running stream holds up the end")
	}
	if _, err := net.Dial("tcp", server.Addr()); err == nil {
		t.Error("still listening after the end")
	}
}

func TestServerAddress(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", ":0", "[::]:0", "192.0.2.1:5399", "localhost:0", "127.0.0.1", ""} {
		if server, err := transfer.NewServer(addr, servingNothing, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("listens on %q: %s", addr, server.Addr())
		}
	}
	taken := startServer(t, servingNothing)
	if _, err := transfer.NewServer(taken.Addr(), servingNothing, slog.New(slog.DiscardHandler)); err == nil || !strings.Contains(err.Error(), taken.Addr()) {
		t.Errorf("busy address: %v", err)
	}
}

// Garbage of every kind is answered or dropped, and the server goes on.
func TestServerSurvivesGarbage(t *testing.T) {
	server := startServer(t, serving(servedSOA))
	good := new(dns.Msg).SetQuestion("served.example.", dns.TypeSOA)
	whole, err := good.Pack()
	if err != nil {
		t.Fatal(err)
	}
	reply := bytes.Clone(whole)
	reply[2] |= 0x80
	loop := append(bytes.Clone(whole[:12]), 0xc0, 12, 0, 6, 0, 1)
	messages := [][]byte{{}, {0}, whole[:11], whole[:12], whole[:20], reply, loop, bytes.Repeat([]byte{0xff}, 512), bytes.Repeat([]byte{0}, 4096)}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 0xff
		messages = append(messages, flipped)
	}
	udp, err := net.Dial("udp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	for _, m := range messages {
		if _, err := udp.Write(m); err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		conn := &dns.Conn{Conn: tcp}
		if _, err := conn.Write(m); err != nil {
			t.Fatal(err)
		}
		tcp.Write([]byte{0xff, 0xff, 1, 2, 3}) // a length, and less than that follows
		tcp.Close()
	}
	for _, network := range []string{"udp", "tcp"} {
		if m := ask(t, server, network, good); len(m.Answer) != 1 {
			t.Errorf("over %s it answers\n%v", network, m)
		}
	}
}

// Connections that hold still take places, and no more than there are.
func TestServerBoundsConnections(t *testing.T) {
	server := startServer(t, serving(servedSOA))
	var held []net.Conn
	for range 200 {
		conn, err := net.Dial("tcp", server.Addr())
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, conn)
	}
	if m := ask(t, server, "udp", new(dns.Msg).SetQuestion("served.example.", dns.TypeSOA)); len(m.Answer) != 1 {
		t.Errorf("UDP answer is\n%v", m)
	}
	for _, conn := range held {
		conn.Close()
	}
	if m := ask(t, server, "tcp", new(dns.Msg).SetQuestion("served.example.", dns.TypeSOA)); len(m.Answer) != 1 {
		t.Errorf("TCP answer is\n%v", m)
	}
}

// query.Local is what the product looks up with.
var _ transfer.SOALookup = query.Local{}
