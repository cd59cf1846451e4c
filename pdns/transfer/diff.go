package transfer

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Diff returns the RRsets in which a zone's content differs from what it was, as
// [pdns.Diff] has them. An error says why they cannot be told as text, or be
// changed without a look at the rest of the zone. It reads both contents into
// memory: it is for small ones.
func Diff(zone string, was, is io.Reader) ([]pdns.RRset, error) {
	before, after := listing{}, listing{}
	if err := errors.Join(before.read(was), after.read(is)); err != nil {
		return nil, fmt.Errorf("compare contents of zone %s: %w", zone, err)
	}
	return before.change(zone, after)
}

// Before is the content that a zone had, to compare with what a server answers by now.
type Before struct {
	zone string
	listing
}

// ReadBefore reads a content encoding into memory. The error also says why answers may
// not tell what the zone has: a wildcard answers for names that are gone.
func ReadBefore(zone string, content io.Reader) (*Before, error) {
	before := &Before{zone: zone, listing: listing{}}
	err := before.read(content)
	if err == nil {
		err = noWildcard(before.listing)
	}
	if err != nil {
		return nil, fmt.Errorf("content of zone %s: %w", zone, err)
	}
	return before, nil
}

// Diff returns what [Diff] would, where these RRsets of the zone are by now as a server has
// answered for each, with no record where it has none, and nothing else has changed.
func (b *Before) Diff(answers map[pdns.RRsetName][]dns.RR) ([]pdns.RRset, error) {
	after := maps.Clone(b.listing)
	for name, rrs := range answers {
		delete(after, name)
		for _, rr := range rrs {
			after.add(rr)
		}
	}
	if err := noWildcard(after); err != nil {
		return nil, fmt.Errorf("answers for zone %s: %w", b.zone, err)
	}
	return b.change(b.zone, after)
}

func noWildcard(l listing) error {
	for name := range l {
		if strings.HasPrefix(name.Name, "*.") {
			return fmt.Errorf("%s may be what is answered with", name.Name)
		}
	}
	return nil
}

// change is what leads from one content of a zone to another, as [pdns.Diff] has it.
func (l listing) change(zone string, after listing) ([]pdns.RRset, error) {
	changed := l.differing(after)
	if why := pdns.Unhinges(zone, changed, l.owners(), after.owners()); why != "" {
		return nil, fmt.Errorf("compare contents of zone %s: %s", zone, why)
	}
	sets, size := make([]pdns.RRset, 0, len(changed)), 0
	for _, name := range changed {
		set, err := rrsetOf(name, after[name])
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
		size += len(set.Name) + len(set.Type) + len(strings.Join(set.Records, ""))
	}
	if size > pdns.MaxDiffSize {
		return nil, fmt.Errorf("compare contents of zone %s: what differs is larger than %d octets", zone, pdns.MaxDiffSize)
	}
	pdns.GoneFirst(sets)
	return sets, nil
}

// listing is a content by RRset, each record once, as text.
type listing map[pdns.RRsetName]map[string]dns.RR

func (l listing) read(content io.Reader) error {
	for rr, err := range Read(content) {
		if err != nil {
			return err
		}
		l.add(rr)
	}
	return nil
}

func (l listing) add(rr dns.RR) {
	head := rr.Header()
	name := pdns.RRsetName{Name: dns.CanonicalName(head.Name), Type: dns.Type(head.Rrtype).String()}
	if l[name] == nil {
		l[name] = make(map[string]dns.RR)
	}
	l[name][rr.String()] = rr
}

func (l listing) owners() pdns.Owners {
	owners := make(pdns.Owners, len(l))
	for name := range l {
		owners.Add(name.Name, name.Type)
	}
	return owners
}

// differing are the RRsets in which two listings differ, in a fixed order.
func (l listing) differing(o listing) []pdns.RRsetName {
	var differ []pdns.RRsetName
	for name, records := range l {
		if !maps.EqualFunc(records, o[name], func(dns.RR, dns.RR) bool { return true }) {
			differ = append(differ, name)
		}
	}
	for name := range o {
		if l[name] == nil {
			differ = append(differ, name)
		}
	}
	slices.SortFunc(differ, func(a, b pdns.RRsetName) int {
		return strings.Compare(a.Name+" "+a.Type, b.Name+" "+b.Type)
	})
	return differ
}

// rrsetOf is an RRset as PowerDNS's API takes it; one without records is gone.
func rrsetOf(name pdns.RRsetName, records map[string]dns.RR) (pdns.RRset, error) {
	set := pdns.RRset{Name: name.Name, Type: name.Type}
	for _, text := range slices.Sorted(maps.Keys(records)) {
		rr := records[text]
		if !asText(rr) || set.Records != nil && rr.Header().Ttl != set.TTL {
			return pdns.RRset{}, fmt.Errorf("RRset %s %s: %w", name.Name, name.Type, ErrNoText)
		}
		set.TTL = rr.Header().Ttl
		set.Records = append(set.Records, strings.TrimPrefix(text, rr.Header().String()))
	}
	return set, nil
}
