package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// The parts in which the zones are gone through, so that what a host that dies
// has done so far is not done again.
const (
	signaturePart = 2000
	contentPart   = 1000
)

// surveyAtOnce bounds the zones that a survey asks the local PowerDNS for at the
// same time.
const surveyAtOnce = 8

// Surveyor makes, on a primary, the lists that secondaries are compared with by
// the checks of signatures and of content.
type Surveyor struct {
	// Primary exports zones again, and says where its PowerDNS answers.
	Primary *Primary
	// Local asks that PowerDNS past its cache, Public asks secondaries as
	// anybody does.
	Local, Public SigningAsker
	Newest        NewestVersions
	// Lists takes the lists; they are kept for an hour.
	Lists interface {
		ListPublisher
		CatalogueReader
	}
	// Contents opens published content.
	Contents interface {
		// Open returns the content of exactly v; pdns.ErrContentGone when a
		// newer version replaced it.
		Open(ctx context.Context, v pdns.Version) (io.ReadCloser, error)
	}
	// Rules are those of the configuration.
	Rules pdns.SignatureRules
	// Now is the clock by which signatures are judged; nil means the host's.
	Now     func() time.Time
	Metrics *SurveyMetrics
}

func (s *Surveyor) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}

// SurveyInput asks for the next part of the zones.
type SurveyInput struct {
	// After is the last zone of the part before, empty for the first part.
	After string `json:"after,omitempty"`
	// Zones, where there are any, are the only ones to be looked at.
	Zones []string `json:"zones,omitempty"`
	// Share says which zones take part; the zero value means all.
	Share pdns.Share `json:"share,omitzero"`
}

// SurveyResult describes a list.
type SurveyResult struct {
	// List is its name; empty when there is nothing to compare.
	List  string `json:"list,omitempty"`
	Zones int    `json:"zones"`
	// After is the last zone of this part where more follow, else empty.
	After string `json:"after,omitempty"`
	// Outcomes counts what became of the zones on the primary.
	Outcomes map[string]int `json:"outcomes,omitempty"`
	// Contested lists zones of which this primary holds something else than what
	// another one published: a sync asks that one first.
	Contested []string `json:"contested,omitempty"`
	// Unrenewable lists the first few zones whose signatures end soon on the
	// primary itself, Failed those that could not be looked at there; Reason is
	// what was wrong with one of these.
	Unrenewable []string `json:"unrenewable,omitempty"`
	Failed      []string `json:"failed,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	// Unanswerable lists the first few signed zones with records that no secondary
	// can answer.
	Unanswerable []string `json:"unanswerable,omitempty"`
	// Rules are those of the primary's configuration.
	Rules pdns.SignatureRules `json:"rules,omitzero"`
}

// What a survey finds of a zone on the primary; SurveyResult.Outcomes.
const (
	// SurveyedCurrent: nothing but what was published.
	SurveyedCurrent = "current"
	// SurveyedPublished: a fresh export found something else, and published it.
	SurveyedPublished = ExportPublished
	// SurveyedUnrenewable: its signatures end soon, and a fresh export has none
	// that last longer. Who signs the zone must renew them.
	SurveyedUnrenewable = "unrenewable"
	// SurveyedUnanswerable: it is signed and holds ALIAS or LUA records. A secondary
	// has no keys, so that it answers nothing for these (PowerDNS 4.7).
	SurveyedUnanswerable = "unanswerable"
	// SurveyedFailed: it could not be looked at.
	SurveyedFailed = "failed"
)

// survey gathers a list and what was found while making it.
type survey[L any] struct {
	mu sync.Mutex
	SurveyResult
	lines []L
}

func newSurvey[L any]() *survey[L] {
	return &survey[L]{SurveyResult: SurveyResult{Outcomes: make(map[string]int)}}
}

// note counts a zone, and takes in the line by which it is compared.
func (s *survey[L]) note(zone, outcome string, line L) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Outcomes[outcome]++
	s.lines = append(s.lines, line)
	switch outcome {
	case ExportBehind:
		s.Contested = append(s.Contested, zone)
	case SurveyedUnrenewable:
		s.Unrenewable = append(s.Unrenewable, zone)
	case SurveyedUnanswerable:
		s.Unanswerable = append(s.Unanswerable, zone)
	}
}

// sorted returns the result with the first few names of each kind.
func (s *survey[L]) sorted() SurveyResult {
	slices.Sort(s.Contested)
	slices.Sort(s.Unrenewable)
	slices.Sort(s.Unanswerable)
	slices.Sort(s.Failed)
	s.Unrenewable, s.Unanswerable, s.Failed = first(s.Unrenewable), first(s.Unanswerable), first(s.Failed)
	return s.SurveyResult
}

// skip counts a zone that takes no part in the comparison.
func (s *survey[L]) skip(outcome string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Outcomes[outcome]++
}

func (s *survey[L]) failed(zone string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Outcomes[SurveyedFailed]++
	s.Failed = append(s.Failed, zone)
	if s.Reason == "" {
		s.Reason = fmt.Sprintf("zone %s: %v", zone, err)
	}
}

// inspection is how the zones of a check are looked at on a primary.
type inspection[L any] struct {
	// kind names the lists, part is how many zones go into one.
	kind string
	part int
	// wanted says which versions take part.
	wanted func(pdns.Version) bool
	// look looks at one zone.
	look func(context.Context, *survey[L], pdns.Version)
}

// run looks at the zones of the part that in asks for, some at a time, and
// publishes the list of them.
func (i inspection[L]) run(ctx context.Context, s *Surveyor, in SurveyInput) (SurveyResult, error) {
	versions, after, err := s.part(ctx, in, i.part, i.wanted)
	if err != nil {
		return SurveyResult{}, err
	}
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(versions)} })()
	found := newSurvey[L]()
	var group errgroup.Group
	group.SetLimit(surveyAtOnce)
	for _, v := range versions {
		group.Go(func() error {
			if ctx.Err() == nil {
				i.look(ctx, found, v)
				done.Add(1)
			}
			return nil
		})
	}
	if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
		return SurveyResult{}, err
	}
	found.Zones, found.After, found.Rules = len(found.lines), after, s.Rules
	if found.Zones > 0 {
		found.List, err = s.Lists.PublishList(ctx, i.kind, found.lines)
	}
	s.Metrics.surveyed(i.kind, found.Outcomes)
	return found.sorted(), err
}

// part returns the versions of the next zones that are wanted, and where the
// part after it begins; empty when there is none.
func (s *Surveyor) part(ctx context.Context, in SurveyInput, size int, wanted func(pdns.Version) bool) ([]pdns.Version, string, error) {
	newest, err := s.Newest.Newest(ctx)
	if err != nil {
		return nil, "", err
	}
	zones := in.Zones
	if len(zones) == 0 {
		zones = slices.Collect(maps.Keys(newest))
	}
	zones = slices.DeleteFunc(slices.Clone(zones), func(zone string) bool {
		v, published := newest[zone]
		return !published || v.Deleted || zone <= in.After || !in.Share.Has(zone) || !wanted(v)
	})
	slices.Sort(zones)
	after := ""
	if len(zones) > size {
		zones, after = zones[:size], zones[size-1]
	}
	versions := make([]pdns.Version, len(zones))
	for i, zone := range zones {
		versions[i] = newest[zone]
	}
	return versions, after, nil
}

// export has the newest version of a zone published and returns it, false where
// secondaries are not to be compared with it: a zone that is gone, or is not
// distributed any more, is for its own sync to deal with.
func (s *Surveyor) export(ctx context.Context, zone string) (v pdns.Version, outcome string, compared bool, err error) {
	result, err := s.Primary.export(ctx, zone, ExportZoneInput{Zone: zone})
	s.Primary.Metrics.exported(result.Outcome, err)
	if err != nil {
		return pdns.Version{}, "", false, err
	}
	outcome = result.Outcome
	switch outcome {
	case ExportUnchanged:
		outcome, compared = SurveyedCurrent, true
	case ExportPublished, ExportBehind, ExportHeld:
		compared = true
	}
	// What is unproven has no digest to compare with; it is another primary's, whose
	// own export follows.
	return result.Version, outcome, compared && !result.Version.Deleted && !result.Unproven, nil
}
