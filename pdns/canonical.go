package pdns

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// rdataNames says where names stand in the RDATA of one type: after skip
// octets and strings character strings come names names.
type rdataNames struct{ skip, strings, names int }

// lowered lists the types whose RDATA names are lower-cased in canonical
// form: RFC 4034 section 6.2 item 3 without HINFO, which holds no names, and
// without NSEC (RFC 6840 section 5.1). Names of every other type keep their
// case, SVCB and unknown types included.
var lowered = map[uint16]rdataNames{
	dns.TypeNS:    {names: 1},
	dns.TypeMD:    {names: 1},
	dns.TypeMF:    {names: 1},
	dns.TypeCNAME: {names: 1},
	dns.TypeSOA:   {names: 2},
	dns.TypeMB:    {names: 1},
	dns.TypeMG:    {names: 1},
	dns.TypeMR:    {names: 1},
	dns.TypePTR:   {names: 1},
	dns.TypeMINFO: {names: 2},
	dns.TypeMX:    {skip: 2, names: 1},
	dns.TypeRP:    {names: 2},
	dns.TypeAFSDB: {skip: 2, names: 1},
	dns.TypeRT:    {skip: 2, names: 1},
	dns.TypeSIG:   {skip: rrsigFixedLen, names: 1},
	dns.TypePX:    {skip: 2, names: 2},
	dns.TypeNXT:   {names: 1},
	dns.TypeNAPTR: {skip: 4, strings: 3, names: 1},
	dns.TypeKX:    {skip: 2, names: 1},
	dns.TypeSRV:   {skip: 6, names: 1},
	dns.TypeDNAME: {names: 1},
	dns.TypeRRSIG: {skip: rrsigFixedLen, names: 1},
}

// rrsigFixedLen is the length of the RRSIG fields before the signer's name
// (RFC 4034 section 3.1).
const rrsigFixedLen = 18

// canonicalData appends the canonical form of RDATA to dst. RDATA that does
// not have its type's form is taken as it is.
func canonicalData(dst []byte, rrtype uint16, data []byte) []byte {
	start := len(dst)
	dst = append(dst, data...)
	layout, ok := lowered[rrtype]
	if !ok {
		return dst
	}
	own := dst[start:]
	off := layout.skip
	for range layout.strings {
		if off >= len(own) {
			return dst
		}
		off += 1 + int(own[off])
	}
	for range layout.names {
		end, err := nameEnd(own, min(off, len(own)))
		if err != nil {
			return dst
		}
		for i := off; i < end; i++ {
			own[i] = lower(own[i])
		}
		off = end
	}
	if rrtype == dns.TypeRRSIG {
		// ECDSA signatures differ with every restart of a live-signing
		// primary; all that a signature says stands before it.
		return dst[:start+off]
	}
	return dst
}

// appendSortKey appends a form of a name whose order by bytes.Compare is the
// canonical order of names (RFC 4034 section 6.1): the labels from the root
// down, lower case, each ended by 0, the whole ended by another 0. Octets 0
// and 1 inside labels are written 1 1 and 1 2, so that 0 stays below all.
func appendSortKey(dst, name []byte) []byte {
	var starts [128]int
	n := 0
	for off := 0; name[off] != 0; off += 1 + int(name[off]) {
		starts[n] = off
		n++
	}
	for n--; n >= 0; n-- {
		off := starts[n]
		for _, c := range name[off+1 : off+1+int(name[off])] {
			if c <= 1 {
				dst = append(dst, 1)
				c++
			}
			dst = append(dst, lower(c))
		}
		dst = append(dst, 0)
	}
	return append(dst, 0)
}

// nameFromSortKey appends the wire form of the name that key begins with and
// returns it with the key's length.
func nameFromSortKey(dst, key []byte) ([]byte, int) {
	var labels [maxNameLen + 1]byte
	at := len(labels) - 1 // labels[at:] is the name so far, the root at first
	off := 0
	var label [63]byte
	for key[off] != 0 {
		n := 0
		for ; key[off] != 0; off++ {
			c := key[off]
			if c == 1 {
				off++
				c = key[off] - 1
			}
			label[n] = c
			n++
		}
		off++
		at -= 1 + n
		labels[at] = byte(n)
		copy(labels[at+1:], label[:n])
	}
	return append(dst, labels[at:]...), off + 1
}

// appendFixed appends TYPE, CLASS, TTL and RDLENGTH.
func appendFixed(dst []byte, rrtype, class uint16, ttl uint32, rdlength int) []byte {
	dst = binary.BigEndian.AppendUint16(dst, rrtype)
	dst = binary.BigEndian.AppendUint16(dst, class)
	dst = binary.BigEndian.AppendUint32(dst, ttl)
	return binary.BigEndian.AppendUint16(dst, uint16(rdlength))
}
