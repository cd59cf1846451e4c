package pdns

import (
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"
)

// VerifySet checks the signatures of one RRset of a zone with the zone's keys,
// as a validating resolver that trusts these would (RFC 4035 section 5.3), and
// a little more: each algorithm that signs the set must do so rightly, since
// some resolvers know only one of them. What is signed with algorithms that
// the library does not know is taken on trust.
func VerifySet(zone string, set []dns.RR, sigs []*dns.RRSIG, keys []*dns.DNSKEY, now time.Time) error {
	if len(set) == 0 {
		return errors.New("there are no records to verify")
	}
	name, covered := set[0].Header().Name, dns.Type(set[0].Header().Rrtype)
	faults := make(map[uint8]error)
	for _, sig := range sigs {
		if sig.TypeCovered != uint16(covered) || dns.CanonicalName(sig.Hdr.Name) != dns.CanonicalName(name) {
			continue
		}
		fault, seen := faults[sig.Algorithm]
		if !seen || fault != nil {
			faults[sig.Algorithm] = verify(zone, set, sig, keys, now)
		}
	}
	if len(faults) == 0 {
		return fmt.Errorf("%s %s has no signature", name, covered)
	}
	for algorithm, fault := range faults {
		if fault != nil {
			return fmt.Errorf("signature of %s %s with %s: %w", name, covered, dns.AlgorithmToString[algorithm], fault)
		}
	}
	return nil
}

// verify checks one signature.
func verify(zone string, set []dns.RR, sig *dns.RRSIG, keys []*dns.DNSKEY, now time.Time) error {
	if dns.CanonicalName(sig.SignerName) != zone {
		return fmt.Errorf("it was made by %s", sig.SignerName)
	}
	if !sig.ValidityPeriod(now) {
		return fmt.Errorf("it is valid from %s to %s only", ExpirationTime(sig.Inception), ExpirationTime(sig.Expiration))
	}
	fault := fmt.Errorf("its key %d is not among the zone's keys", sig.KeyTag)
	for _, key := range keys {
		if key.KeyTag() != sig.KeyTag || key.Algorithm != sig.Algorithm {
			continue
		}
		err := sig.Verify(key, set)
		if err == nil || errors.Is(err, dns.ErrAlg) {
			return nil
		}
		fault = err
	}
	return fault
}
