package activities

import (
	"context"
	"errors"
	"fmt"
	"net"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// How what a secondary holds stands to the newest version, by content.
const (
	contentSame      = "same"
	contentDifferent = "different"
	// contentNotServed: the local PowerDNS does not hand the zone out.
	contentNotServed = "not served"
)

// listedContent is one line of the list that secondaries are compared with in the
// check of content.
type listedContent struct {
	Zone    string `json:"z"`
	Version int64  `json:"v"`
	Serial  uint32 `json:"s"`
	Digest  string `json:"d"`
	Records int    `json:"n"`
}

// SurveyContent exports a part of all zones afresh, so that what was changed on
// the primary past its API is published, and lists their digests. Doing it twice
// is harmless: each attempt makes a list of its own, and what an attempt before
// has published is found unchanged.
func (s *Surveyor) SurveyContent(ctx context.Context, in SurveyInput) (SurveyResult, error) {
	result, err := inspection[listedContent]{
		kind: "content", part: contentPart, wanted: func(pdns.Version) bool { return true }, look: s.content,
	}.run(ctx, s, in)
	if err != nil {
		return SurveyResult{}, classify(fmt.Errorf("survey content on primary %s: %w", s.Primary.ID, err))
	}
	return result, nil
}

func (s *Surveyor) content(ctx context.Context, found *survey[listedContent], v pdns.Version) {
	fresh, outcome, compared, err := s.export(ctx, v.Zone)
	switch {
	case err != nil:
		found.failed(v.Zone, err)
	case !compared:
		found.skip(outcome)
	default:
		found.note(v.Zone, outcome, listedContent{Zone: fresh.Zone, Version: fresh.Version, Serial: fresh.Serial, Digest: fresh.Digest, Records: fresh.Records})
	}
}

// CompareContent transfers the zones in a list from the local PowerDNS and says
// which need a sync, since what it holds has another digest. It only reads.
func (s *Secondary) CompareContent(ctx context.Context, in CompareInput) (CompareResult, error) {
	var lines []listedContent
	if err := s.Catalogues.ReadList(ctx, in.List, &lines); err != nil {
		return CompareResult{}, classify(fmt.Errorf("compare content on secondary %s: %w", s.ID, err))
	}
	result, err := compareEach(ctx, s, lines, in, s.compareContent)
	if err == nil && len(lines) > 1 && result.States[contentNotServed] == len(lines) {
		err = fmt.Errorf("the local PowerDNS hands out no zones (set allow-axfr-ips=127.0.0.0/8,::1 and not disable-axfr): %s", result.Reason)
	}
	if err != nil {
		return CompareResult{}, classify(fmt.Errorf("compare content on secondary %s: %w", s.ID, err))
	}
	s.Metrics.contents(result)
	return result, nil
}

// compareContent compares one zone.
func (s *Secondary) compareContent(ctx context.Context, line listedContent, _ CompareInput) (compared, error) {
	one := compared{zone: line.Zone, version: line.Version, state: contentSame}
	err := s.holds(ctx, pdns.Version{Zone: line.Zone, Version: line.Version, Serial: line.Serial, Digest: line.Digest, Records: line.Records})
	var gone net.Error
	switch {
	case err == nil:
		return one, nil
	case ctx.Err() != nil, errors.As(err, &gone):
		return compared{}, fmt.Errorf("zone %s: %w", line.Zone, err)
	case errors.Is(err, errOtherContent):
		one.state = contentDifferent
	default: // not held, or so broken that PowerDNS cannot hand it out
		one.state = contentNotServed
	}
	one.wrong, one.reason = true, fmt.Sprintf("zone %s: %v", line.Zone, err)
	return one, nil
}
