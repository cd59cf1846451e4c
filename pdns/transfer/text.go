package transfer

import (
	"errors"
	"io"
	"strings"

	"github.com/miekg/dns"
)

// ErrNoText means that a content may not say the same as text.
var ErrNoText = errors.New("content cannot be handed over as text")

// plainText are the types whose text the library and PowerDNS (4.7 to 5.0) read
// alike, as PowerDNS's own transfers of them show.
var plainText = map[uint16]bool{
	dns.TypeSOA: true, dns.TypeNS: true, dns.TypeA: true, dns.TypeAAAA: true, dns.TypeCNAME: true,
	dns.TypeMX: true, dns.TypeTXT: true, dns.TypePTR: true, dns.TypeSRV: true, dns.TypeCAA: true,
}

// Text returns a content as a zone file (RFC 1035 section 5.1), a record a
// line, with all names absolute. [ErrNoText] where it has records of other types than the
// most common, or escapes in names, or more octets than limit: AXFR carries
// everything.
func Text(content io.Reader, limit int) (string, error) {
	var text strings.Builder
	for rr, err := range Read(content) {
		if err != nil {
			return "", err
		}
		if !asText(rr) {
			return "", ErrNoText
		}
		text.WriteString(rr.String())
		text.WriteByte('\n')
		if text.Len() > limit {
			return "", ErrNoText
		}
	}
	return text.String(), nil
}

// asText reports whether a record's text says the same to PowerDNS.
func asText(rr dns.RR) bool {
	// What the library could not read comes as RFC3597, under its own type too.
	_, opaque := rr.(*dns.RFC3597)
	escaped := strings.ContainsRune(rr.Header().Name, '\\') ||
		rr.Header().Rrtype != dns.TypeTXT && strings.ContainsRune(rr.String(), '\\')
	return !opaque && !escaped && plainText[rr.Header().Rrtype]
}
