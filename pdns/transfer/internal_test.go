package transfer

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// No octets from a primary crash it, and what it takes is content.
func FuzzMessage(f *testing.F) {
	q := new(dns.Msg).SetAxfr("example.")
	for _, compress := range []bool{true, false} {
		m := new(dns.Msg).SetReply(q)
		m.Compress = compress
		for _, text := range []string{"example. 60 IN SOA ns a 1 1 1 1 1", "example. 60 IN MX 1 x.example.", "y.example. 60 IN A 192.0.2.1"} {
			rr, err := dns.NewRR(text)
			if err != nil {
				f.Fatal(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		msg, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg, 1, 3)
	}
	zone, err := pdns.WireName("example.")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, msg []byte, questions, answers int) {
		in := inbound{zone: zone, sum: newSummer(), keep: func(wire []byte) error {
			if _, err := unpack(wire); err != nil {
				t.Fatalf("took a record that cannot be read: %v", err)
			}
			return nil
		}}
		if err := in.message(msg, questions&0xffff, answers&0xffff); err != nil {
			return
		}
		if in.soa == nil || in.sum.digest.Records() == 0 {
			t.Fatal("took a message without the SOA")
		}
	})
}

type noLookup struct{}

func (noLookup) Exchange(context.Context, *dns.Msg) (*dns.Msg, error) {
	return nil, errors.New("nobody there")
}

func TestIdleConnectionIsClosed(t *testing.T) {
	server, err := NewServer("127.0.0.1:0", noLookup{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	server.idle = 50 * time.Millisecond
	ended := make(chan error, 1)
	go func() { ended <- server.Run(t.Context()) }()
	t.Cleanup(func() { <-ended })

	conn, err := net.Dial("tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte{0, 12, 1}); err != nil { // the begin of a question
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want the connection closed", err)
	}
}

// An outcome that nobody took is replaced by the next.
func TestOfferKeepsLatestOutcome(t *testing.T) {
	o := &Offer{done: make(chan error, 1)}
	o.finish(errors.New("first"))
	o.finish(nil)
	if err := <-o.Done(); err != nil {
		t.Errorf("outcome is %v, want the latest", err)
	}
}
