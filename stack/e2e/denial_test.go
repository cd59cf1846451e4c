package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// proof holds an answer's verified NSEC or NSEC3 records.
type proof struct {
	zone  string
	nsec  []*dns.NSEC
	nsec3 []*dns.NSEC3
}

func proofs(zone string, authority []signedSet) proof {
	p := proof{zone: zone}
	for _, set := range authority {
		for _, rr := range set.rrs {
			switch rr := rr.(type) {
			case *dns.NSEC:
				p.nsec = append(p.nsec, rr)
			case *dns.NSEC3:
				p.nsec3 = append(p.nsec3, rr)
			}
		}
	}
	return p
}

// wildcardUsed: an RRset that a wildcard gave (its signature has fewer labels, RFC 4035 section 5.3.4) needs the proof
// that no closer name exists.
func (p proof) wildcardUsed(set signedSet) error {
	labels := dns.SplitDomainName(set.name)
	if set.sig == nil || int(set.sig.Labels) >= len(labels) || labels[0] == "*" {
		return nil
	}
	nextCloser := dns.Fqdn(strings.Join(labels[len(labels)-int(set.sig.Labels)-1:], "."))
	if p.covered(nextCloser) {
		return nil
	}
	return fmt.Errorf("%s comes from a wildcard, without proof that %s does not exist", set.name, nextCloser)
}

// covered says that the name does not exist: it lies between two names that do.
func (p proof) covered(name string) bool {
	return slices.ContainsFunc(p.nsec, func(n *dns.NSEC) bool { return nsecCovers(n, p.zone, name) }) ||
		slices.ContainsFunc(p.nsec3, func(n *dns.NSEC3) bool { return n.Cover(name) })
}

// lacks says that the name exists without this type; and without CNAME, which would stand for any.
func (p proof) lacks(name string, qtype uint16) bool {
	lacking := func(bitmap []uint16) bool {
		parentSide := slices.Contains(bitmap, dns.TypeNS) && !slices.Contains(bitmap, dns.TypeSOA)
		return !slices.Contains(bitmap, qtype) && !slices.Contains(bitmap, dns.TypeCNAME) && (!parentSide || qtype == dns.TypeDS)
	}
	return slices.ContainsFunc(p.nsec, func(n *dns.NSEC) bool { return sameName(n.Hdr.Name, name) && lacking(n.TypeBitMap) }) ||
		slices.ContainsFunc(p.nsec3, func(n *dns.NSEC3) bool { return n.Match(name) && lacking(n.TypeBitMap) })
}

// noName is the proof of NXDOMAIN: neither the name nor a wildcard that would stand for it.
func (p proof) noName(name string) error {
	encloser, err := p.closestEncloser(name)
	if err != nil {
		return err
	}
	if !p.covered("*." + encloser) {
		return fmt.Errorf("no proof that *.%s does not exist", encloser)
	}
	return nil
}

// noType is the proof of NODATA: the name without the type, an empty non-terminal, a wildcard without the type, or, for
// DS, a span of unsigned delegations (opt-out).
func (p proof) noType(name string, qtype uint16) error {
	if p.lacks(name, qtype) {
		return nil
	}
	for _, n := range p.nsec {
		if nsecCovers(n, p.zone, name) && dns.IsSubDomain(name, n.NextDomain) {
			return nil
		}
	}
	encloser, err := p.closestEncloser(name)
	if err != nil {
		return err
	}
	optOut := slices.ContainsFunc(p.nsec3, func(n *dns.NSEC3) bool { return n.Flags&1 != 0 && n.Cover(nextCloser(name, encloser)) })
	if p.lacks("*."+encloser, qtype) || qtype == dns.TypeDS && optOut {
		return nil
	}
	return fmt.Errorf("no proof that %s lacks %s", name, dns.TypeToString[qtype])
}

// closestEncloser finds the closest existing ancestor of a name that is proven not to exist itself.
func (p proof) closestEncloser(name string) (string, error) {
	if len(p.nsec)+len(p.nsec3) == 0 {
		return "", errors.New("no denial records at all")
	}
	for encloser := parentOf(name); dns.IsSubDomain(p.zone, encloser); encloser = parentOf(encloser) {
		if p.exists(encloser) {
			if next := nextCloser(name, encloser); !p.covered(next) {
				return "", fmt.Errorf("no proof that %s does not exist", next)
			}
			return encloser, nil
		}
	}
	return "", fmt.Errorf("no proof of the closest encloser of %s", name)
}

// exists: with NSEC3 the hash must match; with NSEC a name exists when an owner or next name is it or lies below it.
func (p proof) exists(name string) bool {
	return slices.ContainsFunc(p.nsec3, func(n *dns.NSEC3) bool { return n.Match(name) }) ||
		slices.ContainsFunc(p.nsec, func(n *dns.NSEC) bool {
			return dns.IsSubDomain(name, n.Hdr.Name) || dns.IsSubDomain(name, n.NextDomain)
		})
}

func parentOf(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// nextCloser is the ancestor of name (or itself) one label below encloser.
func nextCloser(name, encloser string) string {
	labels := dns.SplitDomainName(name)
	return dns.Fqdn(strings.Join(labels[len(labels)-dns.CountLabel(encloser)-1:], "."))
}

// nsecCovers says that name lies strictly between the owner and the next name; the last NSEC points to the apex.
func nsecCovers(n *dns.NSEC, zone, name string) bool {
	if compareNames(n.Hdr.Name, name) >= 0 {
		return false
	}
	return sameName(n.NextDomain, zone) || compareNames(name, n.NextDomain) < 0
}

// compareNames orders as RFC 4034 section 6.1: by labels from the right, as lower-case octets.
func compareNames(a, b string) int {
	la, lb := wireLabels(a), wireLabels(b)
	return slices.CompareFunc(la, lb, bytes.Compare)
}

// wireLabels are a name's labels as octets in lower case, the rightmost first.
func wireLabels(name string) [][]byte {
	var wire [255]byte
	end, err := dns.PackDomainName(dns.CanonicalName(name), wire[:], 0, nil, false)
	if err != nil {
		panic(err) // the name came from a parsed message or a test
	}
	var labels [][]byte
	for at := 0; at < end && wire[at] != 0; at += int(wire[at]) + 1 {
		labels = append(labels, bytes.ToLower(wire[at+1:at+1+int(wire[at])]))
	}
	slices.Reverse(labels)
	return labels
}
