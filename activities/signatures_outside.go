package activities

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const (
	// sampleOneIn of a list's zones are asked for from outside, and sampleLeast
	// where the list is short.
	sampleOneIn = 100
	sampleLeast = 5
	// setsInside is how many RRsets below the top of a zone are verified, chosen
	// from the first recordsRead records of its content.
	setsInside  = 3
	recordsRead = 2000
)

// VerifySignaturesInput asks for a sample of a list's zones.
type VerifySignaturesInput struct {
	List    string              `json:"list"`
	Rules   pdns.SignatureRules `json:"rules"`
	Targets []Target            `json:"targets"`
	// Zones, where there are any, are asked for instead of a sample.
	Zones []string `json:"zones,omitempty"`
}

// VerifySignatures asks every target, at the address the public uses, for a
// sample of a list's zones, and verifies what it answers with the keys that the
// local PowerDNS has: the top of each zone and a few RRsets inside. It only reads.
func (s *Surveyor) VerifySignatures(ctx context.Context, in VerifySignaturesInput) (CompareResult, error) {
	var lines []pdns.SignedZone
	if err := s.Lists.ReadList(ctx, in.List, &lines); err != nil {
		return CompareResult{}, classify(fmt.Errorf("verify signatures: %w", err))
	}
	lines = sampleOf(lines, in.Zones)
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(lines)} })()
	o := outside{Surveyor: s, in: in, found: newComparison()}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(compareAtOnce)
	for _, line := range lines {
		group.Go(func() error {
			defer done.Add(1)
			if err := o.zone(ctx, line); err != nil {
				return fmt.Errorf("verify signatures of zone %s: %w", line.Zone, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return CompareResult{}, classify(err)
	}
	slices.Sort(o.found.Wrong)
	s.Metrics.verified(o.found.States)
	return o.found.CompareResult, nil
}

// sampleOf chooses signed zones at random, or those that are named.
func sampleOf(lines []pdns.SignedZone, named []string) []pdns.SignedZone {
	lines = slices.DeleteFunc(lines, func(line pdns.SignedZone) bool {
		return line.Signing.Expires.IsZero() || len(named) > 0 && !slices.Contains(named, line.Zone)
	})
	if len(named) > 0 {
		return lines
	}
	rand.Shuffle(len(lines), func(i, j int) { lines[i], lines[j] = lines[j], lines[i] })
	return lines[:min(len(lines), max(sampleLeast, len(lines)/sampleOneIn))]
}

// outside is one look from outside at a sample.
type outside struct {
	*Surveyor
	in     VerifySignaturesInput
	found  *comparison
	silent silentTargets
}

// set names an RRset.
type set struct {
	name   string
	rrtype uint16
}

// atTop reports whether it is one of those by which servers are compared.
func (s set) atTop(zone string) bool {
	return dns.CanonicalName(s.name) == zone && slices.Contains(query.Apex, s.rrtype)
}

func (o *outside) zone(ctx context.Context, line pdns.SignedZone) error {
	keys, err := o.keys(ctx, line.Zone)
	if err != nil {
		return err
	}
	sets, err := o.sets(ctx, line)
	if errors.Is(err, pdns.ErrContentGone) {
		o.found.note(compared{state: ComparedChanging})
		return nil
	}
	if err != nil {
		return err
	}
	for _, target := range o.in.Targets {
		one, err := o.ask(ctx, target, line, sets, keys)
		if err == nil && one.wrong {
			one, err = o.stillNewest(ctx, one)
		}
		if err != nil {
			return err
		}
		o.found.note(one)
	}
	return nil
}

// keys are the zone's, as the primary has them.
func (o *outside) keys(ctx context.Context, zone string) ([]*dns.DNSKEY, error) {
	answer, err := o.Local.SignedSet(ctx, o.Primary.DNSAddress, zone, dns.TypeDNSKEY)
	if err != nil {
		return nil, err
	}
	var keys []*dns.DNSKEY
	for _, rr := range answer.Records {
		if key, ok := rr.(*dns.DNSKEY); ok {
			keys = append(keys, key)
		}
	}
	return keys, nil
}

// sets are the RRsets to ask for. Those inside the zone are chosen by the
// signatures of its content, so that each of them must have one. NSEC and NSEC3
// are left out: those cannot be asked for by name.
func (o *outside) sets(ctx context.Context, line pdns.SignedZone) ([]set, error) {
	content, err := o.Contents.Open(ctx, pdns.Version{Zone: line.Zone, Version: line.Version})
	if err != nil {
		return nil, err
	}
	defer content.Close()
	inside := make([]set, 0, setsInside)
	read, seen := 0, 0
	for rr, err := range transfer.Read(content) {
		if err != nil {
			return nil, err
		}
		if read++; read > recordsRead {
			break
		}
		sig, ok := rr.(*dns.RRSIG)
		if !ok || sig.TypeCovered == dns.TypeNSEC || sig.TypeCovered == dns.TypeNSEC3 {
			continue
		}
		one := set{sig.Hdr.Name, sig.TypeCovered}
		if one.atTop(line.Zone) {
			continue // asked for in any case
		}
		seen++
		if len(inside) < setsInside {
			inside = append(inside, one)
		} else if at := rand.IntN(seen); at < setsInside {
			inside[at] = one
		}
	}
	for _, rrtype := range query.Apex {
		inside = append(inside, set{line.Zone, rrtype})
	}
	return inside, nil
}

// ask asks one target for all sets of one zone.
func (o *outside) ask(ctx context.Context, target Target, line pdns.SignedZone, sets []set, keys []*dns.DNSKEY) (compared, error) {
	one := compared{zone: line.Zone, version: line.Version, state: string(pdns.ServedSilent)}
	if o.silent.has(target.ID) {
		return one, nil
	}
	var top []*dns.RRSIG
	var inside time.Time // when the first of those inside the zone ends
	for _, set := range sets {
		answer, err := o.Public.SignedSet(ctx, target.DNSAddress, set.name, set.rrtype)
		if ctx.Err() != nil {
			return one, ctx.Err()
		}
		if err != nil {
			o.silent.add(target.ID)
			return one, nil //nolint:nilerr // silence is what was found
		}
		err = answer.Served()
		if err == nil {
			err = pdns.VerifySet(line.Zone, answer.Records, answer.Signatures, keys, o.now())
		}
		if err != nil {
			one.state, one.wrong = string(pdns.SignaturesBogus), true
			one.reason = fmt.Sprintf("zone %s, %s %s on %s, asked from outside: %v", line.Zone, set.name, dns.Type(set.rrtype), target.ID, err)
			return one, nil
		}
		if set.atTop(line.Zone) {
			top = append(top, answer.Signatures...)
			continue
		}
		ends := pdns.SigningOf(answer.Signatures).Expires
		if inside = pdns.FirstEnd(inside, ends); o.in.Rules.Ending(ends, o.now()) && o.lastsLonger(ctx, set) {
			one.state, one.wrong, one.expires = string(pdns.SignaturesExpiring), true, ends
			one.reason = fmt.Sprintf("zone %s, %s %s on %s, asked from outside: the signature ends at %s, the primary's later",
				line.Zone, set.name, dns.Type(set.rrtype), target.ID, ends.Format(time.RFC3339))
			return one, nil
		}
	}
	return o.judged(one, target, line, pdns.SigningOf(top), inside), nil
}

// lastsLonger reports whether the primary serves signatures of an RRset that do not end too
// soon. Where they do, no sync can help.
func (o *outside) lastsLonger(ctx context.Context, set set) bool {
	answer, err := o.Local.SignedSet(ctx, o.Primary.DNSAddress, set.name, set.rrtype)
	return err == nil && len(answer.Signatures) > 0 && !o.in.Rules.Ending(pdns.SigningOf(answer.Signatures).Expires, o.now())
}

func (o *outside) judged(one compared, target Target, line pdns.SignedZone, served pdns.Signing, inside time.Time) compared {
	state := o.in.Rules.Judge(o.now(), line.Signing, served)
	one.state, one.wrong, one.expires = string(state), state.Fault(), pdns.FirstEnd(served.Expires, inside)
	if one.wrong {
		one.reason = fmt.Sprintf("zone %s: signatures on %s, asked from outside, are %s", line.Zone, target.ID, state)
	}
	return one
}

// stillNewest takes a zone of which a newer version was published since for
// changing: its own sync is under way.
func (o *outside) stillNewest(ctx context.Context, one compared) (compared, error) {
	newest, _, err := o.Primary.Versions.Newest(ctx, one.zone)
	if err != nil && !errors.Is(err, pdns.ErrNoVersion) {
		return one, err
	}
	if newest.Version != one.version {
		one.state, one.wrong = ComparedChanging, false
	}
	return one, nil
}
