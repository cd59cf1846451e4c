package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// What an answer says, once it is proven.
const (
	positive = "positive"
	noData   = "no data"
	nxDomain = "no such name"
	insecure = "referral, proven unsigned"
	secure   = "referral, signed"
)

// validator checks answers against the keys of one zone, as a resolver that trusts them would (RFC 4035 section 5,
// RFC 5155 section 8). It is stricter than a resolver where it can: every RRset must be signed, not only those needed.
type validator struct {
	zone string
	keys []*dns.DNSKEY
}

// newValidator takes the keys from the primary.
func newValidator(ctx context.Context, zone string) (*validator, error) {
	return newValidatorOf(ctx, primary, zone)
}

func newValidatorOf(ctx context.Context, n *nameserver, zone string) (*validator, error) {
	in, err := n.ask(ctx, zone, dns.TypeDNSKEY, true)
	if err != nil {
		return nil, err
	}
	v := &validator{zone: zone}
	for _, rr := range in.Answer {
		if key, ok := rr.(*dns.DNSKEY); ok {
			v.keys = append(v.keys, key)
		}
	}
	if len(v.keys) == 0 {
		return nil, fmt.Errorf("the primary has no DNSKEY for %s", zone)
	}
	return v, nil
}

// signedSet is an RRset of an answer with the signature that verified it; nil for one that needs none.
type signedSet struct {
	name string
	rrs  []dns.RR
	sig  *dns.RRSIG
}

// check verifies all signatures of an answer and the proofs that it needs, and returns what it says.
func (v *validator) check(in *dns.Msg, qname string, qtype uint16) (string, error) {
	answer, err := v.verified(in.Answer, false)
	if err != nil {
		return "", err
	}
	authority, err := v.verified(in.Ns, true)
	if err != nil {
		return "", err
	}
	p := proofs(v.zone, authority)
	for _, set := range answer {
		if err := p.wildcardUsed(set); err != nil {
			return "", err
		}
	}
	if in.Rcode == dns.RcodeSuccess && !in.Authoritative && len(answer) == 0 {
		return v.referral(authority, p)
	}
	if !in.Authoritative {
		return "", errors.New("not authoritative")
	}
	if has(answer, "", qtype) || has(answer, "", dns.TypeCNAME) {
		return positive, nil
	}
	if !has(authority, v.zone, dns.TypeSOA) {
		return "", errors.New("negative answer without the zone's SOA")
	}
	switch in.Rcode {
	case dns.RcodeNameError:
		return nxDomain, p.noName(qname)
	case dns.RcodeSuccess:
		return noData, p.noType(qname, qtype)
	}
	return "", fmt.Errorf("rcode %s", dns.RcodeToString[in.Rcode])
}

func has(sets []signedSet, name string, rrtype uint16) bool {
	return slices.ContainsFunc(sets, func(s signedSet) bool {
		return (name == "" || sameName(s.name, name)) && s.rrs[0].Header().Rrtype == rrtype
	})
}

// verified groups a section into RRsets and verifies each. In the authority section, NS below the apex is a delegation,
// which is never signed.
func (v *validator) verified(section []dns.RR, authority bool) ([]signedSet, error) {
	var sets []signedSet
	var sigs []*dns.RRSIG
	for _, rr := range section {
		if sig, ok := rr.(*dns.RRSIG); ok {
			sigs = append(sigs, sig)
			continue
		}
		h := rr.Header()
		i := slices.IndexFunc(sets, func(s signedSet) bool { return sameName(s.name, h.Name) && s.rrs[0].Header().Rrtype == h.Rrtype })
		if i < 0 {
			sets = append(sets, signedSet{name: h.Name})
			i = len(sets) - 1
		}
		sets[i].rrs = append(sets[i].rrs, rr)
	}
	for i, set := range sets {
		if authority && set.rrs[0].Header().Rrtype == dns.TypeNS && !sameName(set.name, v.zone) {
			continue
		}
		sig, err := v.signature(set, sigs)
		if err != nil {
			return nil, err
		}
		sets[i].sig = sig
	}
	return sets, nil
}

func (v *validator) signature(set signedSet, sigs []*dns.RRSIG) (*dns.RRSIG, error) {
	rrtype := set.rrs[0].Header().Rrtype
	fault := errors.New("there is none")
	for _, sig := range sigs {
		if sig.TypeCovered != rrtype || !sameName(sig.Hdr.Name, set.name) {
			continue
		}
		if !sig.ValidityPeriod(time.Now()) {
			fault = errors.New("it is not valid now")
			continue
		}
		for _, key := range v.keys {
			if key.KeyTag() != sig.KeyTag || !sameName(sig.SignerName, v.zone) {
				continue
			}
			if fault = sig.Verify(key, set.rrs); fault == nil {
				return sig, nil
			}
		}
	}
	return nil, fmt.Errorf("signature of %s %s: %w", set.name, dns.TypeToString[rrtype], fault)
}

// referral checks that a delegation is either signed, with its DS, or proven to be unsigned.
func (v *validator) referral(authority []signedSet, p proof) (string, error) {
	i := slices.IndexFunc(authority, func(s signedSet) bool { return s.rrs[0].Header().Rrtype == dns.TypeNS })
	if i < 0 {
		return "", errors.New("neither an answer nor a referral")
	}
	child := authority[i].name
	if has(authority, child, dns.TypeDS) {
		return secure, nil
	}
	return insecure, p.noType(child, dns.TypeDS)
}
