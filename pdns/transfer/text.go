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
// everything. hollow says that it has empty non-terminals (RFC 8499 section 7), which
// stand in no text.
func Text(content io.Reader, limit int) (_ string, hollow bool, _ error) {
	var text strings.Builder
	var zone string
	names := make(map[string]bool)
	for rr, err := range Read(content) {
		if err != nil {
			return "", false, err
		}
		if !asText(rr) {
			return "", false, ErrNoText
		}
		text.WriteString(rr.String())
		text.WriteByte('\n')
		if text.Len() > limit {
			return "", false, ErrNoText
		}
		name := dns.CanonicalName(rr.Header().Name)
		names[name] = true
		if rr.Header().Rrtype == dns.TypeSOA {
			zone = name
		}
	}
	return text.String(), hasEmptyNonTerminals(zone, names), nil
}

// hasEmptyNonTerminals reports whether a name between the zone's own and one of names is
// none of them.
func hasEmptyNonTerminals(zone string, names map[string]bool) bool {
	for name := range names {
		for dns.CountLabel(name) > dns.CountLabel(zone)+1 {
			next, _ := dns.NextLabel(name, 0)
			if name = name[next:]; !names[name] {
				return true
			}
		}
	}
	return false
}

// asText reports whether a record's text says the same to PowerDNS.
func asText(rr dns.RR) bool {
	// What the library could not read comes as RFC3597, under its own type too.
	_, opaque := rr.(*dns.RFC3597)
	escaped := strings.ContainsRune(rr.Header().Name, '\\') ||
		rr.Header().Rrtype != dns.TypeTXT && strings.ContainsRune(rr.String(), '\\')
	return !opaque && !escaped && plainText[rr.Header().Rrtype]
}
