package pdns

import (
	"fmt"
	"strings"

	"github.com/miekg/dns"
)

// RRset is one RRset as PowerDNS's API shows and takes it. Without records it
// says that there is none of this name and type.
type RRset struct {
	// Name is canonical, see [CanonicalZone].
	Name string `json:"name"`
	Type string `json:"type"`
	TTL  uint32 `json:"ttl,omitempty"`
	// Records are the contents in presentation form, as PowerDNS wrote them.
	Records []string `json:"records,omitempty"`
	// Version is the version that first had it so.
	Version int64 `json:"version,omitempty"`
}

// Is reports whether it has this name and type.
func (s RRset) Is(name, rrtype string) bool { return s.Name == name && s.Type == rrtype }

// RRType is the number of its type.
func (s RRset) RRType() uint16 { return dns.StringToType[s.Type] }

// RRs reads the records. The error names one that cannot be read.
func (s RRset) RRs() ([]dns.RR, error) {
	rrs := make([]dns.RR, 0, len(s.Records))
	for _, content := range s.Records {
		if strings.ContainsAny(content, "\r\n") {
			return nil, fmt.Errorf("record %s %s: its content is more than one line", s.Name, s.Type)
		}
		rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", s.Name, s.TTL, s.Type, content))
		if err != nil {
			return nil, fmt.Errorf("record %s %s: %w", s.Name, s.Type, err)
		}
		if rr == nil || dns.CanonicalName(rr.Header().Name) != s.Name || rr.Header().Rrtype != s.RRType() {
			return nil, fmt.Errorf("record %s %s: its content is not that of one such record", s.Name, s.Type)
		}
		rrs = append(rrs, rr)
	}
	return rrs, nil
}
