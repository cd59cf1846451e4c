package transfer

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// fullMessage is the size at which a message is sent, in octets. Larger ones
// gain nothing on loopback and cost memory on both sides.
const fullMessage = 32 << 10

// transfer answers an AXFR.
func (s *Server) transfer(w dns.ResponseWriter, q *dns.Msg, zone string) {
	offer := s.offers.get(zone)
	if offer == nil {
		s.log.Debug("AXFR of a zone that is not on offer refused", "zone", zone)
		s.reply(w, q, dns.RcodeRefused, nil)
		return
	}
	offer.start()
	begin := time.Now()
	records, err := s.stream(w, q, offer)
	if err != nil {
		err = fmt.Errorf("hand zone %s version %d to PowerDNS: %w", zone, offer.version, err)
		if records == 0 {
			s.reply(w, q, dns.RcodeServerFailure, nil)
		} else {
			// Without the final SOA: PowerDNS drops what it got.
			_ = w.Close() // an error means that it is closed
		}
	}
	offer.finish(err)
	s.log.Debug("AXFR ended", "zone", zone, "version", offer.version, "records", records,
		"duration", time.Since(begin), "error", err)
}

// stream sends the content of an offer (RFC 5936 section 2.2): the SOA, all
// else, the SOA again, as many records a message as fit. It returns how many
// records it sent.
func (s *Server) stream(w dns.ResponseWriter, q *dns.Msg, offer *Offer) (int, error) {
	ctx, cancel := context.WithCancelCause(offer.ctx)
	defer cancel(nil)
	defer context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })()

	content, err := offer.open(ctx)
	if err != nil {
		return 0, err
	}
	defer content.Close()
	out, err := newMessages(w, q)
	if err != nil {
		return 0, err
	}
	var soa []byte
	for wire, err := range readWire(content) {
		if err == nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if err == nil {
			err = out.add(wire)
		}
		if err != nil {
			return out.sent, err
		}
		if soa == nil {
			soa = bytes.Clone(wire)
		}
	}
	if err := out.add(soa); err != nil {
		return out.sent, err
	}
	return out.sent, out.flush()
}

// messages packs records into answers. Records are copied as they are:
// compressing names would cost more than sending them does.
type messages struct {
	w     dns.ResponseWriter
	buf   []byte // the message that is being filled
	count int    // records in buf
	sent  int    // records sent
}

func newMessages(w dns.ResponseWriter, q *dns.Msg) (*messages, error) {
	reply := new(dns.Msg).SetReply(q)
	reply.Authoritative = true
	head, err := reply.Pack()
	if err != nil {
		return nil, err
	}
	return &messages{w: w, buf: append(make([]byte, 0, fullMessage), head...)}, nil
}

// add puts a record into the message, after sending the message when it
// would grow over fullMessage. A record that is larger alone gets its own.
func (m *messages) add(wire []byte) error {
	if m.count > 0 && len(m.buf)+len(wire) > fullMessage {
		if err := m.flush(); err != nil {
			return err
		}
	}
	if len(m.buf)+len(wire) > dns.MaxMsgSize {
		return fmt.Errorf("a record of %d octets fits into no DNS message", len(wire))
	}
	m.buf = append(m.buf, wire...)
	m.count++
	return nil
}

// flush sends the message. Those after the first carry no question (RFC 5936
// section 2.2.1), which leaves room for the longest record.
func (m *messages) flush() error {
	binary.BigEndian.PutUint16(m.buf[6:], uint16(m.count)) // ANCOUNT
	if _, err := m.w.Write(m.buf); err != nil {
		return err
	}
	m.sent += m.count
	m.count = 0
	const headerOnly = 12
	binary.BigEndian.PutUint16(m.buf[4:], 0) // QDCOUNT
	m.buf = m.buf[:headerOnly]
	return nil
}
