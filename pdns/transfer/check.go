package transfer

import (
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// contentCheck holds what every content must keep to: the SOA first and once,
// class IN, no record outside the zone. PowerDNS refuses a transfer that breaks it, so
// nothing that breaks it may be published.
type contentCheck struct {
	zone []byte // wire form, nil before the SOA
	size int64
}

// parse parses and checks the next record.
func (c *contentCheck) parse(wire []byte) (pdns.Record, error) {
	rec, err := pdns.ParseRecord(wire)
	if err != nil {
		return rec, err
	}
	if c.size += int64(len(wire)); c.size > maxContent {
		return rec, fmt.Errorf("is larger than %d octets", int64(maxContent))
	}
	return rec, c.check(rec)
}

func (c *contentCheck) check(rec pdns.Record) error {
	switch {
	case rec.Class != dns.ClassINET:
		return fmt.Errorf("record %s has class %d, only IN can be served", rec.OwnerName(), rec.Class)
	case c.zone == nil && rec.Type != dns.TypeSOA:
		return fmt.Errorf("begins with a %s record, not with the SOA", dns.Type(rec.Type))
	case c.zone == nil && len(rec.Data) < 22:
		return errors.New("begins with a SOA that is cut short")
	case c.zone == nil:
		c.zone = append([]byte{}, rec.Owner...)
	case rec.Type == dns.TypeSOA:
		return fmt.Errorf("has a second SOA record, at %s", rec.OwnerName())
	case !rec.In(c.zone):
		return fmt.Errorf("record %s %s lies outside the zone", rec.OwnerName(), dns.Type(rec.Type))
	}
	return nil
}

// unpack makes a record of its uncompressed wire form.
func unpack(wire []byte) (dns.RR, error) {
	rr, end, err := dns.UnpackRR(wire, 0)
	if err == nil && end == len(wire) {
		return rr, nil
	}
	// PowerDNS stores the types that it does not know as plain octets and
	// passes them on, also those that the library knows and finds broken.
	rec, err := pdns.ParseRecord(wire)
	if err != nil {
		return nil, err
	}
	return &dns.RFC3597{
		Hdr: dns.RR_Header{
			Name: rec.OwnerName(), Rrtype: rec.Type, Class: rec.Class, Ttl: rec.TTL, Rdlength: uint16(len(rec.Data)),
		},
		Rdata: hex.EncodeToString(rec.Data),
	}, nil
}
