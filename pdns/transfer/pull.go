package transfer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// dialTimeout bounds the connection to a PowerDNS on the same host.
	dialTimeout = 3 * time.Second
	// messageTimeout bounds the wait for the next message. PowerDNS reads a
	// large zone from its database after it sent the first.
	messageTimeout = 30 * time.Second
)

// Errors that a caller tells apart with errors.Is.
var (
	// ErrRefused means that the server will not transfer the zone.
	ErrRefused = errors.New("transfer refused")
	// ErrChanged means that the zone changed while it was transferred;
	// asking again brings the new state.
	ErrChanged = errors.New("zone changed during the transfer")
)

// Pull asks server (host:port) for zone by AXFR and writes its content
// encoding to w as it arrives. What w got is good only when the error is nil:
// an incomplete transfer, a record outside the zone, another zone's SOA, a SOA
// that changed on the way are errors. The time is bounded by ctx, and by 30 s
// between two messages.
func Pull(ctx context.Context, server, zone string, w io.Writer) (Summary, error) {
	sum, size, err := pullTo(ctx, server, zone, w)
	if err != nil {
		return Summary{}, err
	}
	return sum.summary(size)
}

// pullTo is [Pull] up to the summary. It returns the encoding's length too.
func pullTo(ctx context.Context, server, zone string, w io.Writer) (*summer, int64, error) {
	out := newWriter(w)
	sum, err := pull(ctx, server, zone, out.add)
	if closeErr := out.close(err == nil); err == nil && closeErr != nil {
		err = fmt.Errorf("write content: %w", closeErr)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("transfer zone %s from %s: %w", zone, server, err)
	}
	return sum, out.out.n, nil
}

// DigestOf asks server for zone by AXFR and describes what it serves,
// without keeping it.
func DigestOf(ctx context.Context, server, zone string) (Summary, error) {
	sum, err := pull(ctx, server, zone, func([]byte) error { return nil })
	if err != nil {
		return Summary{}, fmt.Errorf("transfer zone %s from %s: %w", zone, server, err)
	}
	return sum.summary(0)
}

// errEnough ends a transfer whose first record was all that was wanted.
var errEnough = errors.New("enough")

// ForgetSigning has the PowerDNS at server drop what it has cached of a zone's
// signing: PRESIGNED, NSEC3PARAM and other metadata, kept for
// domain-metadata-cache-ttl (60 s) and refilled from the old state by queries
// that come while a transfer stores the new one. Nothing in its API does it (4.7.3, each
// call tried), but an AXFR does as it begins (tcpreceiver.cc), so one is asked
// for and given up after its first record. [ErrRefused] where AXFR is not allowed.
func ForgetSigning(ctx context.Context, server, zone string) error {
	_, err := pull(ctx, server, zone, func([]byte) error { return errEnough })
	if err == nil || errors.Is(err, errEnough) {
		return nil
	}
	return fmt.Errorf("begin a transfer of zone %s from %s: %w", zone, server, err)
}

// pull runs one AXFR (RFC 5936) and hands each record to keep.
func pull(ctx context.Context, server, zone string, keep func(wire []byte) error) (*summer, error) {
	zoneWire, err := pdns.WireName(zone)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout}
	tcp, err := dialer.DialContext(ctx, "tcp", server)
	if err != nil {
		return nil, err
	}
	conn := &dns.Conn{Conn: tcp}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()

	buffer := recordBuffers.Get().(*[pdns.MaxRecordLen]byte) //nolint:errcheck // the pool holds nothing else
	defer recordBuffers.Put(buffer)
	in := inbound{zone: zoneWire, keep: keep, sum: newSummer(), buf: buffer[:0]}
	if err := in.run(conn, dns.Fqdn(zone)); err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, err
	}
	return in.sum, nil
}

// inbound is the state of one incoming AXFR.
type inbound struct {
	zone []byte
	keep func(wire []byte) error
	sum  *summer

	check contentCheck
	soa   *pdns.Record // the first record
	done  bool         // the final SOA has come
	buf   []byte
}

func (in *inbound) run(conn *dns.Conn, zone string) error {
	query := new(dns.Msg).SetAxfr(zone)
	if err := conn.SetDeadline(time.Now().Add(messageTimeout)); err != nil {
		return err
	}
	if err := conn.WriteMsg(query); err != nil {
		return err
	}
	for !in.done {
		if err := conn.SetDeadline(time.Now().Add(messageTimeout)); err != nil {
			return err
		}
		var header dns.Header
		msg, err := conn.ReadMsgHeader(&header)
		if err != nil {
			return in.endedEarly(err)
		}
		if header.Id != query.Id {
			return fmt.Errorf("answer with ID %d to question %d", header.Id, query.Id)
		}
		if rcode := int(header.Bits & 0xf); rcode != dns.RcodeSuccess {
			return in.refusal(rcode)
		}
		if err := in.message(msg, int(header.Qdcount), int(header.Ancount)); err != nil {
			return err
		}
	}
	return nil
}

// endedEarly says how far the transfer came.
func (in *inbound) endedEarly(err error) error {
	var timeout net.Error
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		return fmt.Errorf("no message for %s, after %d records: %w", messageTimeout, in.sum.digest.Records(), err)
	case in.soa == nil:
		return fmt.Errorf("connection ended without an answer: %w", noEOF(err))
	}
	return fmt.Errorf("transfer ended after %d records without the final SOA; PowerDNS's log says why: it was stopped, or met a record that it cannot read "+
		"(`pdnsutil check-zone ZONE`), or 100 records in a row take more than 64 KiB (its issue 11804; workaround-11804=yes helps from 4.8 on): %w",
		in.sum.digest.Records(), noEOF(err))
}

func (in *inbound) refusal(rcode int) error {
	name := dns.RcodeToString[rcode]
	switch {
	case in.soa != nil:
		return fmt.Errorf("server gave up in mid-transfer with %s", name)
	case rcode == dns.RcodeRefused, rcode == dns.RcodeNotAuth:
		return fmt.Errorf("%w with %s: check that PowerDNS holds the zone, that allow-axfr-ips (or the zone's ALLOW-AXFR-FROM metadata) "+
			"names this host, and that the zone is not NSEC3 narrow, which PowerDNS never transfers: "+
			"pdnsutil set-nsec3 ZONE '1 0 0 -' makes it a plain one", ErrRefused, name)
	}
	return fmt.Errorf("server answered %s", name)
}

// message takes the answer section of one message.
func (in *inbound) message(msg []byte, questions, answers int) error {
	off := 12 // the header
	for range questions {
		_, end, err := dns.UnpackDomainName(msg, off)
		if err == nil && end+4 > len(msg) {
			err = errCutShort
		}
		if err != nil {
			return fmt.Errorf("malformed question section: %w", err)
		}
		off = end + 4
	}
	if answers == 0 {
		return errors.New("message without records")
	}
	for range answers {
		if in.done {
			return errors.New("records after the final SOA")
		}
		wire, end, err := expand(in.buf[:0], msg, off)
		if err != nil {
			return fmt.Errorf("malformed record: %w", err)
		}
		in.buf, off = wire, end
		if err := in.record(wire); err != nil {
			return err
		}
	}
	return nil
}

// record takes one record in uncompressed wire form.
func (in *inbound) record(wire []byte) error {
	rec, err := pdns.ParseRecord(wire)
	if err != nil {
		return err
	}
	if in.soa != nil && rec.Type == dns.TypeSOA && rec.OwnerIs(in.zone) {
		in.done = true
		if !rec.Equal(*in.soa) {
			return fmt.Errorf("%w: serial %d at its begin, %d at its end", ErrChanged, in.sum.serial, soaSerial(rec))
		}
		return nil
	}
	if in.soa == nil && !rec.OwnerIs(in.zone) {
		return fmt.Errorf("server sent zone %s instead", rec.OwnerName())
	}
	if rec, err = in.check.parse(wire); err != nil {
		return fmt.Errorf("content %w", err)
	}
	if in.soa == nil {
		soa, err := pdns.ParseRecord(bytes.Clone(wire)) // wire is used again
		if err != nil {
			return err
		}
		in.soa = &soa
	}
	in.sum.add(rec)
	if err := in.keep(wire); err != nil {
		return fmt.Errorf("write content: %w", err)
	}
	return nil
}
