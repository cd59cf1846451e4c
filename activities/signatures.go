package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// SigningAsker asks a name server how a zone is signed.
type SigningAsker interface {
	// Signing returns the signatures at the top of a zone; query.ErrNotServed
	// where the server answers without serving it.
	Signing(ctx context.Context, server, zone string) (pdns.Signing, error)
	// SignedSet returns an RRset with its signatures. An answer, whatever its
	// code, is no error; silence is.
	SignedSet(ctx context.Context, server, name string, rrtype uint16) (query.SignedSet, error)
}

// SurveySignatures asks the local PowerDNS for the signatures of a part of all
// signed zones, and lists them. Zones whose published signatures end soon are
// exported afresh before. Doing it twice is harmless: each attempt makes a list
// of its own, and what an attempt before has published is found unchanged.
func (s *Surveyor) SurveySignatures(ctx context.Context, in SurveyInput) (SurveyResult, error) {
	result, err := inspection[pdns.SignedZone]{
		kind: "signatures", part: signaturePart, wanted: func(v pdns.Version) bool { return v.Signed }, look: s.signatures,
	}.run(ctx, s, in)
	if err != nil {
		return SurveyResult{}, classify(fmt.Errorf("survey signatures on primary %s: %w", s.Primary.ID, err))
	}
	return result, nil
}

func (s *Surveyor) signatures(ctx context.Context, found *survey[pdns.SignedZone], v pdns.Version) {
	now, outcome := s.now(), SurveyedCurrent
	if s.Rules.Ending(v.Expires, now) {
		fresh, exported, compared, err := s.export(ctx, v.Zone)
		if err != nil {
			found.failed(v.Zone, err)
			return
		}
		if !compared {
			found.skip(exported)
			return
		}
		v, outcome = fresh, exported
	}
	signing, err := s.Local.Signing(ctx, s.Primary.DNSAddress, v.Zone)
	if err != nil {
		found.failed(v.Zone, err)
		return
	}
	switch {
	case outcome == ExportBehind:
	case s.Rules.Ending(pdns.FirstEnd(v.Expires, signing.Expires), now):
		outcome = SurveyedUnrenewable
	case v.Live:
		outcome = SurveyedUnanswerable
	}
	found.note(v.Zone, outcome, pdns.SignedZone{Zone: v.Zone, Version: v.Version, Signing: signing})
}

// CompareSignatures asks the local PowerDNS for the signatures of the zones in a
// list and says which need a sync. It only reads.
func (s *Secondary) CompareSignatures(ctx context.Context, in CompareInput) (CompareResult, error) {
	var lines []pdns.SignedZone
	if err := s.Catalogues.ReadList(ctx, in.List, &lines); err != nil {
		return CompareResult{}, classify(fmt.Errorf("compare signatures on secondary %s: %w", s.ID, err))
	}
	result, err := compareEach(ctx, s, lines, in, s.signing)
	if err != nil {
		return CompareResult{}, classify(fmt.Errorf("compare signatures on secondary %s: %w", s.ID, err))
	}
	result.Expires = pdns.FirstEnd(in.Expires, result.Expires)
	s.Metrics.signatures(result, in.Last)
	return result, nil
}

// signing compares one zone.
func (s *Secondary) signing(ctx context.Context, line pdns.SignedZone, in CompareInput) (compared, error) {
	served, err := s.Signing.Signing(ctx, s.DNSAddress, line.Zone)
	if err != nil && !errors.Is(err, query.ErrNotServed) {
		return compared{}, err
	}
	state := in.Rules.Judge(s.now(), line.Signing, served)
	one := compared{zone: line.Zone, version: line.Version, state: string(state), wrong: state.Fault(), expires: served.Expires}
	if one.wrong {
		one.reason = fmt.Sprintf("zone %s: signatures are %s: they end %s, the primary's %s",
			line.Zone, state, ending(served), ending(line.Signing))
		if served.OtherKeys(line.Signing) {
			one.reason += ", and the keys are not the primary's"
		}
	}
	return one, nil
}

func ending(s pdns.Signing) string {
	if s.Expires.IsZero() {
		return "never, there are none"
	}
	return s.Expires.String()
}
