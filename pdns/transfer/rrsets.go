package transfer

import (
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// EncodeRRsets writes the content encoding of a zone that has these RRsets and no
// others to w, as an AXFR of it would bring them. [ErrNoText] where the library and
// PowerDNS may read one of them differently: AXFR carries everything.
func EncodeRRsets(w io.Writer, sets []pdns.RRset) (Summary, error) {
	return Encode(w, records(sets))
}

// records yields those of RRsets, the SOA first.
func records(sets []pdns.RRset) iter.Seq2[dns.RR, error] {
	return func(yield func(dns.RR, error) bool) {
		for _, first := range []bool{true, false} {
			for _, set := range sets {
				if (set.RRType() == dns.TypeSOA) != first {
					continue
				}
				rrs, err := readAlike(set)
				if err != nil {
					yield(nil, err)
					return
				}
				for _, rr := range rrs {
					if !yield(rr, nil) {
						return
					}
				}
			}
		}
	}
}

// readAlike reads an RRset that PowerDNS reads in the same way.
func readAlike(set pdns.RRset) ([]dns.RR, error) {
	special := func(r rune) bool { return r == '\\' || r < ' ' || r > '~' }
	for _, content := range set.Records {
		if !plainText[set.RRType()] || strings.ContainsFunc(set.Name+content, special) {
			return nil, fmt.Errorf("RRset %s %s: %w", set.Name, set.Type, ErrNoText)
		}
	}
	return set.RRs()
}
