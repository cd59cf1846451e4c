package transfer

import (
	"encoding/binary"
	"errors"
	"slices"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// compressible lists the types whose RDATA may hold compressed names: those
// of RFC 1035, and those that RFC 3597 section 4 tells receivers to
// decompress. Names in any other RDATA are never compressed, so that its octets can be
// copied without knowing the type.
var compressible = map[uint16]bool{
	dns.TypeNS: true, dns.TypeMD: true, dns.TypeMF: true, dns.TypeCNAME: true, dns.TypeSOA: true,
	dns.TypeMB: true, dns.TypeMG: true, dns.TypeMR: true, dns.TypePTR: true, dns.TypeMINFO: true,
	dns.TypeMX: true, dns.TypeRP: true, dns.TypeAFSDB: true, dns.TypeRT: true, dns.TypeSIG: true,
	dns.TypePX: true, dns.TypeNXT: true, dns.TypeNAPTR: true, dns.TypeSRV: true, dns.TypeDNAME: true,
}

var errCutShort = errors.New("message is cut short")

// expand appends to dst the record that begins at off in msg, its names
// decompressed, and returns dst and where the record ends in msg.
func expand(dst, msg []byte, off int) ([]byte, int, error) {
	owner, fixed, err := dns.UnpackDomainName(msg, off)
	if err != nil {
		return dst, 0, err
	}
	if fixed+10 > len(msg) {
		return dst, 0, errCutShort
	}
	data := fixed + 10
	end := data + int(binary.BigEndian.Uint16(msg[fixed+8:]))
	if end > len(msg) {
		return dst, 0, errCutShort
	}
	if compressible[binary.BigEndian.Uint16(msg[fixed:])] {
		return repack(dst, msg, off)
	}
	start := len(dst)
	dst = slices.Grow(dst, pdns.MaxRecordLen)
	at, err := dns.PackDomainName(owner, dst[start:cap(dst)], 0, nil, false)
	if err != nil {
		return dst, 0, err
	}
	return append(dst[:start+at], msg[fixed:end]...), end, nil
}

// repack is expand for the types that the library must read and write anew.
func repack(dst, msg []byte, off int) ([]byte, int, error) {
	rr, end, err := dns.UnpackRR(msg, off)
	if err != nil {
		return dst, 0, err
	}
	start := len(dst)
	dst = slices.Grow(dst, pdns.MaxRecordLen)
	at, err := dns.PackRR(rr, dst[start:cap(dst)], 0, nil, false)
	return dst[:start+at], end, err
}
