package query

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// ednsSize is the largest UDP answer that is asked for, in octets; what is
// longer comes over TCP.
const ednsSize = 1232

// SignedSet is what a server answers for one RRset, with its signatures.
type SignedSet struct {
	// Rcode and Authoritative are as in [Answer].
	Rcode         int
	Authoritative bool
	// Records is the RRset, empty where the server has none.
	Records []dns.RR
	// Signatures are those that cover it.
	Signatures []*dns.RRSIG
}

// SignedSet asks server (host:port) for an RRset with its signatures (RFC 4035
// section 3.2.1). The error, which names server and question, means that no
// answer came.
func (c *Client) SignedSet(ctx context.Context, server, name string, rrtype uint16) (SignedSet, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), rrtype)
	q.RecursionDesired = false
	q.SetEdns0(ednsSize, true)
	if c.Uncached {
		makeUnique(q)
	}
	m, err := c.Exchange(ctx, server, q)
	if err != nil {
		return SignedSet{}, err
	}
	set := SignedSet{Rcode: m.Rcode, Authoritative: m.Authoritative}
	for _, rr := range m.Answer {
		sig, isSig := rr.(*dns.RRSIG)
		switch {
		case dns.CanonicalName(rr.Header().Name) != dns.CanonicalName(name):
		case isSig && sig.TypeCovered == rrtype:
			set.Signatures = append(set.Signatures, sig)
		case rr.Header().Rrtype == rrtype:
			set.Records = append(set.Records, rr)
		}
	}
	return set, nil
}

// makeUnique adds an option that no server knows (RFC 6891 section 6.1.2, codes
// for local use) with content that was never asked with before: PowerDNS's
// packet cache takes it for another question (4.7, all options but cookies count).
func makeUnique(q *dns.Msg) {
	unique := binary.BigEndian.AppendUint64(nil, rand.Uint64())
	q.IsEdns0().Option = append(q.IsEdns0().Option, &dns.EDNS0_LOCAL{Code: dns.EDNS0LOCALSTART, Data: unique})
}

// ErrNotServed says that a server answers, but not with what was asked for.
var ErrNotServed = errors.New("not served")

// Served returns nil when the answer holds the RRset, else [ErrNotServed].
func (s SignedSet) Served() error {
	switch {
	case s.Rcode != dns.RcodeSuccess:
		return fmt.Errorf("%w: the answer is %s", ErrNotServed, dns.RcodeToString[s.Rcode])
	case !s.Authoritative:
		return fmt.Errorf("%w: the answer is not authoritative", ErrNotServed)
	case len(s.Records) == 0:
		return fmt.Errorf("%w: the answer has no such record", ErrNotServed)
	}
	return nil
}

// Apex are the types at the top of each signed zone whose signatures are asked
// for: made with a key for the zone, with one for the keys, or with one for both.
var Apex = []uint16{dns.TypeSOA, dns.TypeDNSKEY, dns.TypeNS}

// Signing asks server for the signatures and the keys at the top of a zone (its
// canonical name). An unsigned zone has the zero Signing; a zone that is not served is
// [ErrNotServed], silence another error.
func (c *Client) Signing(ctx context.Context, server, zone string) (pdns.Signing, error) {
	var sigs []*dns.RRSIG
	var keys string
	for _, rrtype := range Apex {
		set, err := c.SignedSet(ctx, server, zone, rrtype)
		if err == nil && rrtype == dns.TypeSOA {
			err = set.Served()
		}
		if err != nil {
			return pdns.Signing{}, fmt.Errorf("signatures of zone %s at %s: %s: %w", zone, server, dns.Type(rrtype), err)
		}
		if rrtype == dns.TypeDNSKEY {
			keys = pdns.KeysMark(set.Records)
		}
		sigs = append(sigs, set.Signatures...)
	}
	signing := pdns.SigningOf(sigs)
	signing.Keys = keys
	return signing, nil
}
