package pdns

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/miekg/dns"
)

// MaxRecordLen is the longest record in uncompressed wire form: name, fixed
// part and RDATA, in octets.
const MaxRecordLen = maxNameLen + fixedLen + 65535

// fixedLen is the length of TYPE, CLASS, TTL and RDLENGTH.
const fixedLen = 10

// Record is a view of one record in uncompressed wire form (RFC 1035 section
// 3.2.1). Zone content is kept and moved in this form instead of as dns.RR,
// since the octets of RDATA then pass through unchanged whatever the type,
// and a million records fit in memory. The slices point into the parsed bytes.
type Record struct {
	// Owner is the owner's name in wire form.
	Owner []byte
	Type  uint16
	Class uint16
	// TTL in seconds.
	TTL  uint32
	Data []byte
}

var errShortRecord = errors.New("record is cut short")

// ParseRecord reads the one record that wire holds, nothing after it.
// Compressed names are an error in the owner's name; RDATA is not looked into.
func ParseRecord(wire []byte) (Record, error) {
	end, err := nameEnd(wire, 0)
	if err != nil {
		return Record{}, fmt.Errorf("owner's name: %w", err)
	}
	if len(wire) < end+fixedLen {
		return Record{}, errShortRecord
	}
	rec := Record{
		Owner: wire[:end],
		Type:  binary.BigEndian.Uint16(wire[end:]),
		Class: binary.BigEndian.Uint16(wire[end+2:]),
		TTL:   binary.BigEndian.Uint32(wire[end+4:]),
		Data:  wire[end+fixedLen:],
	}
	if want := int(binary.BigEndian.Uint16(wire[end+8:])); want != len(rec.Data) {
		return Record{}, fmt.Errorf("record has %d octets of RDATA and says %d", len(rec.Data), want)
	}
	return rec, nil
}

// PlainRecord reports whether records of this type are content of its own and
// not made by signing: signing a zone, or ending it, changes no plain record.
func PlainRecord(rrtype uint16) bool {
	switch rrtype {
	case dns.TypeRRSIG, dns.TypeNSEC, dns.TypeNSEC3, dns.TypeNSEC3PARAM, dns.TypeDNSKEY, dns.TypeCDS, dns.TypeCDNSKEY:
		return false
	}
	return true
}

// OwnerName returns the owner's name in presentation form, case as it came.
func (r Record) OwnerName() string {
	name, _, err := dns.UnpackDomainName(r.Owner, 0)
	if err != nil { // cannot be: ParseRecord checked it
		return fmt.Sprintf("%x", r.Owner)
	}
	return name
}

// OwnerIs reports whether the owner is the name given in wire form, whatever
// the case of the letters (RFC 4343).
func (r Record) OwnerIs(name []byte) bool { return foldEqual(r.Owner, name) }

// AppendKey appends what tells the owner and the type from others, whatever the
// case of the letters.
func (r Record) AppendKey(dst []byte) []byte {
	for _, c := range r.Owner {
		dst = append(dst, lower(c))
	}
	return binary.BigEndian.AppendUint16(dst, r.Type)
}

// In reports whether the owner is at or below zone, given in wire form.
func (r Record) In(zone []byte) bool {
	for off := 0; len(r.Owner)-off >= len(zone); off += 1 + int(r.Owner[off]) {
		if len(r.Owner)-off == len(zone) {
			return foldEqual(r.Owner[off:], zone)
		}
	}
	return false
}

// Equal reports whether two records are the same in canonical form: a server
// may change the case of names by compressing them, as PowerDNS 4.7 does.
func (r Record) Equal(o Record) bool {
	return r.OwnerIs(o.Owner) && r.Type == o.Type && r.Class == o.Class && r.TTL == o.TTL &&
		bytes.Equal(canonicalData(nil, r.Type, r.Data), canonicalData(nil, o.Type, o.Data))
}

// WireName returns the wire form of a name in presentation form, its case as
// it came.
func WireName(name string) ([]byte, error) {
	wire, err := packName(name)
	if err != nil {
		return nil, fmt.Errorf("name %q: %w", abbreviate(name), err)
	}
	return wire, nil
}

// nameEnd returns where the uncompressed name that begins at off ends.
func nameEnd(msg []byte, off int) (int, error) {
	for start := off; off < len(msg); {
		n := int(msg[off])
		off += 1 + n
		switch {
		case n > 63:
			return 0, errors.New("has a compressed or unknown label")
		case off-start > maxNameLen:
			return 0, fmt.Errorf("is longer than %d octets", maxNameLen)
		case n == 0:
			return off, nil
		}
	}
	return 0, errShortRecord
}

// foldEqual compares names in wire form. Octets that are label lengths are
// below 64 and so no letters: folding leaves them alone.
func foldEqual(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}
