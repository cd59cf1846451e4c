package activities

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// surveyBatches is how many batches of a survey are under way at a time.
	surveyBatches = 8
	// surveyWithin bounds the syncs of one survey; what is left then is found by
	// the next one.
	surveyWithin = 30 * time.Minute
)

// ListPublisher publishes lists that many hosts read.
type ListPublisher interface {
	// PublishList returns the list's name.
	PublishList(ctx context.Context, kind string, list any) (name string, err error)
}

// SurveyZonesInput asks what is to be served.
type SurveyZonesInput struct {
	// Trigger is what the syncs are started with.
	Trigger string `json:"trigger"`
	// All has every zone exported again, not only those that show a difference: a
	// change that was lost may stand at the serial that was published.
	All bool `json:"all,omitempty"`
}

// SurveyZonesResult says what is to be served.
type SurveyZonesResult struct {
	Primary string `json:"primary"`
	// Catalogue names the list of what every secondary must serve, Zones counts
	// the zones in it that are to be served.
	Catalogue string `json:"catalogue"`
	Zones     int    `json:"zones"`
	// NotDistributed is as in ScanZonesResult.
	NotDistributed map[string]int `json:"not_distributed,omitempty"`
	// Drift is what was published and differed from what the primary holds.
	Drift DriftCounts `json:"drift,omitzero"`
	// Synced counts the zones that were exported by what their exports found,
	// Left those for which there was no time.
	Synced map[string]int `json:"synced,omitempty"`
	Left   int            `json:"left,omitempty"`
}

// Unpublished counts the zones whose changes there was no time to export, or whose export
// failed or contradicts another primary; what waits for an approval is not among them.
func (r SurveyZonesResult) Unpublished() int {
	return r.Left + r.Synced[ExportFailed] + r.Synced[ExportBehind]
}

// SurveyZones compares what the primary holds with what was published, has the
// zones that differ synced, waits for it, and publishes the catalogue of what
// every secondary must serve. Doing it twice is harmless: a second attempt finds
// less to sync.
func (s *Scanner) SurveyZones(ctx context.Context, in SurveyZonesInput) (SurveyZonesResult, error) {
	var done, total atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), int(total.Load())} })()
	fail := func(err error) (SurveyZonesResult, error) {
		return SurveyZonesResult{}, classify(fmt.Errorf("survey the zones of primary %s: %w", s.ID, err))
	}
	now := time.Now()
	both, err := s.survey(ctx, now)
	if err != nil {
		return fail(err)
	}
	todo := both.drift.Wrong()
	if in.All {
		todo = everything(both.listed, both.drift)
	} else if todo, err = s.settle(ctx, todo, &both, now); err != nil {
		return fail(err)
	}
	total.Store(int64(len(todo)))
	result := SurveyZonesResult{Primary: s.ID, NotDistributed: both.leftOut, Drift: countDrift(both.drift)}
	if len(todo) > 0 {
		if result.Synced, err = s.syncAll(ctx, todo, in.Trigger, now, &done); err != nil {
			return fail(err)
		}
		result.Left = len(todo) - int(done.Load())
		if both.newest, err = s.Versions.Newest(ctx); err != nil {
			return fail(err)
		}
	}
	for _, v := range both.newest {
		if !v.Deleted {
			result.Zones++
		}
	}
	if result.Catalogue, err = s.Lists.PublishList(ctx, "catalogue", pdns.Catalogue(both.newest, both.listed)); err != nil {
		return fail(err)
	}
	return result, nil
}

// everything returns every listed zone and those that are gone.
func everything(listed []pdns.Listed, drift pdns.Drift) []string {
	zones := slices.Clone(drift.Gone)
	for _, zone := range listed {
		zones = append(zones, zone.Zone)
	}
	slices.Sort(zones)
	return zones
}

// syncAll has zones synced in batches, a few at a time, and counts them by what
// their exports found. Those for which the time is not enough are left.
func (s *Scanner) syncAll(ctx context.Context, zones []string, trigger string, now time.Time, done *atomic.Int64) (map[string]int, error) {
	timed, cancel := context.WithTimeout(ctx, cmp.Or(s.SyncWithin, surveyWithin))
	defer cancel()
	synced := make(map[string]int)
	var mu sync.Mutex
	group, bounded := errgroup.WithContext(timed)
	group.SetLimit(surveyBatches)
	for i, batch := range slices.Collect(slices.Chunk(zones, MaxBatch)) {
		group.Go(func() error {
			if bounded.Err() != nil {
				return bounded.Err()
			}
			found, err := s.Syncs.SyncBatch(bounded, batchName(trigger, now, i), batch, trigger)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for outcome, n := range found {
				synced[outcome] += n
			}
			done.Add(int64(len(batch)))
			return nil
		})
	}
	err := group.Wait()
	if timed.Err() != nil && ctx.Err() == nil {
		err = nil // whatever those who waited call it: Temporal's client has an error of its own for that
	}
	return synced, err
}

// LeftOversInput names zones that a secondary holds and of which nothing is published.
type LeftOversInput struct {
	Zones []string `json:"zones"`
	// Together is how many there are in all.
	Together int `json:"together,omitempty"`
}

// SyncLeftOvers has zones synced that a secondary holds and of which nothing is
// published: where every primary says that such a zone is gone, a tombstone is.
// Doing it twice is harmless: a running sync takes a second request as a signal.
func (s *Scanner) SyncLeftOvers(ctx context.Context, in LeftOversInput) error {
	return startAll(ctx, in.Zones, func(zone string) error { return s.Syncs.SyncLeftOver(ctx, zone, in.Together) })
}
