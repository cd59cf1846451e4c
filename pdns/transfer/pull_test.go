package transfer_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// primary answers every AXFR over TCP as respond does, then closes the connection.
func primary(t testing.TB, respond func(conn *dns.Conn, q *dns.Msg)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			tcp, err := listener.Accept()
			if err != nil {
				return
			}
			conn := &dns.Conn{Conn: tcp}
			if q, err := conn.ReadMsg(); err == nil {
				respond(conn, q)
			}
			conn.Close()
		}
	}()
	return listener.Addr().String()
}

// send answers with one message for each text, which holds records.
func send(conn *dns.Conn, q *dns.Msg, texts ...string) {
	for _, text := range texts {
		m := new(dns.Msg).SetReply(q)
		m.Compress = true
		for rr, err := range records(text) {
			if err != nil {
				panic(err)
			}
			m.Answer = append(m.Answer, rr)
		}
		if err := conn.WriteMsg(m); err != nil {
			return
		}
	}
}

const (
	nsLine = "example. 60 IN NS Ns1.Example.\n"
	aLine  = "ns1.example. 60 IN A 192.0.2.1\n"
)

func TestPull(t *testing.T) {
	mixed := strings.Replace(soaLine, "ns.example.", "NS.Example.", 1)
	tests := []struct {
		name     string
		messages []string
	}{
		{"one message", []string{soaLine + nsLine + aLine + soaLine}},
		{"a record a message", []string{soaLine, nsLine, aLine, soaLine}},
		{"names in other case at the end", []string{soaLine + nsLine, aLine + mixed}},
	}
	_, want := encode(t, soaLine+nsLine+aLine)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := primary(t, func(conn *dns.Conn, q *dns.Msg) { send(conn, q, tt.messages...) })
			var content bytes.Buffer
			got, err := transfer.Pull(t.Context(), server, "example.", &content)
			if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("%+v, want %+v", got, want)
			}
			if again, err := transfer.DigestOf(t.Context(), server, "example."); err != nil || again.Digest != want.Digest || again.Size != 0 {
				t.Errorf("digest only: %+v, %v", again, err)
			}
		})
	}
}

func TestPullRefuses(t *testing.T) {
	rcode := func(rcode int) func(*dns.Conn, *dns.Msg) {
		return func(conn *dns.Conn, q *dns.Msg) { conn.WriteMsg(new(dns.Msg).SetRcode(q, rcode)) }
	}
	messages := func(texts ...string) func(*dns.Conn, *dns.Msg) {
		return func(conn *dns.Conn, q *dns.Msg) { send(conn, q, texts...) }
	}
	raw := func(octets string) func(*dns.Conn, *dns.Msg) {
		return func(conn *dns.Conn, q *dns.Msg) {
			head := binary.BigEndian.AppendUint16(nil, uint16(len(octets)+2))
			head = binary.BigEndian.AppendUint16(head, q.Id)
			conn.Conn.Write(append(head, octets...))
		}
	}
	changed := strings.Replace(soaLine, "3000000001", "3000000002", 1)
	tests := []struct {
		name    string
		respond func(*dns.Conn, *dns.Msg)
		want    string
		is      error
	}{
		{"REFUSED", rcode(dns.RcodeRefused), "allow-axfr-ips", transfer.ErrRefused},
		{"NOTAUTH", rcode(dns.RcodeNotAuth), "NSEC3 narrow", transfer.ErrRefused},
		{"SERVFAIL", rcode(dns.RcodeServerFailure), "SERVFAIL", nil},
		{"end at once", func(*dns.Conn, *dns.Msg) {}, "without an answer", io.ErrUnexpectedEOF},
		{"end after the SOA", messages(soaLine), "after 1 records without the final SOA", io.ErrUnexpectedEOF},
		{"end before the final SOA", messages(soaLine+nsLine, aLine), "after 3 records", io.ErrUnexpectedEOF},
		{"failure in the middle", func(conn *dns.Conn, q *dns.Msg) {
			send(conn, q, soaLine+nsLine)
			rcode(dns.RcodeServerFailure)(conn, q)
		}, "gave up in mid-transfer with SERVFAIL", nil},
		{"other zone", messages(strings.ReplaceAll(soaLine+soaLine, "example. 3600", "x.example. 3600")), "sent zone x.example.", nil},
		{"no SOA first", messages(nsLine + soaLine), "not with the SOA", nil},
		{"changed on the way", messages(soaLine+nsLine, changed), "3000000001 at its begin, 3000000002 at its end", transfer.ErrChanged},
		{"SOA inside", messages(soaLine, strings.ReplaceAll(soaLine, "example. 3600", "x.example. 3600"), soaLine), "second SOA", nil},
		{"outside the zone", messages(soaLine, "x.org. 60 IN A 192.0.2.1\n", soaLine), "outside the zone", nil},
		{"more after the end", messages(soaLine + nsLine + soaLine + aLine), "after the final SOA", nil},
		{"message without records", messages(soaLine, ""), "without records", nil},
		{"other ID", func(conn *dns.Conn, q *dns.Msg) {
			q.Id++
			send(conn, q, soaLine+nsLine+soaLine)
		}, "with ID", nil},
		{"short message", raw("\x84\x00"), "", nil},
		{"cut question", raw("\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00\x07exam"), "malformed question", nil},
		{"cut record", raw("\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\x07example\x00\x00\x06\x00\x01"), "malformed record", nil},
		{"pointer loop", raw("\x84\x00\x00\x00\x00\x01\x00\x00\x00\x00\xc0\x0c\x00\x06\x00\x01\x00\x00\x00\x00\x00\x00"), "malformed record", nil},
		{"HTTP", func(conn *dns.Conn, _ *dns.Msg) { conn.Conn.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) }, "", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			server := primary(t, tt.respond)
			var content bytes.Buffer
			_, err := transfer.Pull(t.Context(), server, "example.", &content)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want an error with %q", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v is not %v", err, tt.is)
			}
			if !errors.Is(tt.is, transfer.ErrRefused) && errors.Is(err, transfer.ErrRefused) {
				t.Errorf("%v is a refusal", err)
			}
			if !strings.Contains(err.Error(), "zone example.") || !strings.Contains(err.Error(), server) {
				t.Errorf("%v lacks zone or server", err)
			}
			if _, err := transfer.Summarize(&content); err == nil {
				t.Error("what was written reads as whole content")
			}
		})
	}
}

func TestPullEndsWithContext(t *testing.T) {
	got := make(chan struct{}, 1)
	server := primary(t, func(conn *dns.Conn, q *dns.Msg) {
		send(conn, q, soaLine)
		got <- struct{}{}
		conn.ReadMsg() // until the other side closes
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() { <-got; cancel() }()
	if _, err := transfer.DigestOf(ctx, server, "example."); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a cancellation", err)
	}
	if _, err := transfer.DigestOf(ctx, "127.0.0.1:1", "example."); err == nil {
		t.Error("a transfer from nobody succeeds")
	}
	if _, err := transfer.DigestOf(t.Context(), server, "a..b"); err == nil || !strings.Contains(err.Error(), "empty label") {
		t.Errorf("bad zone name: %v", err)
	}
}

func TestPullReportsWriter(t *testing.T) {
	server := primary(t, func(conn *dns.Conn, q *dns.Msg) { send(conn, q, soaLine+nsLine+soaLine) })
	if _, err := transfer.Pull(t.Context(), server, "example.", failingWriter{}); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v, want the writer's error", err)
	}
}

func TestPullRefusedByPowerDNS(t *testing.T) {
	open := pdnstest.Primary(t, pdnstest.SQLite)
	open.CreateZone(t, "narrow.example.", head)
	open.Sign(t, "narrow.example.", "1 0 0 -", true)
	closed := pdnstest.Primary(t, pdnstest.LMDB, "allow-axfr-ips=192.0.2.1")
	closed.CreateZone(t, "closed.example.", head)
	tests := []struct {
		name, server, zone, want string
	}{
		{"NSEC3 narrow", open.DNS, "narrow.example.", "NSEC3 narrow"},
		{"zone not there", open.DNS, "nowhere.example.", "holds the zone"},
		{"address not allowed", closed.DNS, "closed.example.", "allow-axfr-ips"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := transfer.DigestOf(t.Context(), tt.server, tt.zone)
			if !errors.Is(err, transfer.ErrRefused) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), tt.zone) {
				t.Errorf("%v, want a refusal that names the zone and says %q", err, tt.want)
			}
		})
	}
}

// A restart of a primary that signs with ECDSA changes signatures at the same
// serial; the digest stays.
func TestDigestOutlivesNewSignatures(t *testing.T) {
	server := pdnstest.Primary(t, pdnstest.SQLite)
	server.CreateZone(t, "nsec.example.", everything)
	server.Sign(t, "nsec.example.", "", false)
	before, sum := pull(t, server, "nsec.example.")
	server.Restart(t)
	after, again := pull(t, server, "nsec.example.")
	if again.Digest != sum.Digest || again.Records != sum.Records {
		t.Errorf("digest %s of %d records, before the restart %s of %d", again.Digest, again.Records, sum.Digest, sum.Records)
	}
	if bytes.Equal(before, after) {
		t.Error("the signatures are the same: this test shows nothing")
	}
}
