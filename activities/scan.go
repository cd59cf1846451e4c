package activities

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

const (
	// scanStarts and scanStale bound the zones that one scan has synced, and
	// those of them whose signatures alone are old: what changes all at once,
	// such as at PowerDNS's weekly renewal of signatures, is spread over time.
	// There may be so many of the latter, or so few scans, that this would take
	// too long: then as many as it needs (pdns.RollShare), up to scanStaleMost.
	scanStarts    = 1000
	scanStale     = 500
	scanStaleMost = 10_000
	// scanEvery is how long ago the last scan is taken for by the first one of
	// this process, scanRare by one that comes later: other primaries scan too.
	scanEvery = time.Minute
	scanRare  = 10 * time.Minute
	// scanAlone is up to how many zones get a sync of their own; more go in
	// batches.
	scanAlone = 20
	// scanShare is the part of the time that listing the zones may take.
	scanShare = 100
	// lookAgain is when a zone is looked at again of which a sync has published
	// nothing although it differs: one that cannot be exported, or that has keys
	// and no signatures.
	lookAgain = 10 * time.Minute
	// lookAgainStale is the same for one that was published before the
	// signatures were renewed. A presigned zone never changes by itself.
	lookAgainStale = 6 * time.Hour
)

// ZoneLister lists the zones of a primary's PowerDNS.
type ZoneLister interface {
	// ServedZones returns every zone with its served serial; an error means
	// unknown, never none.
	ServedZones(ctx context.Context) iter.Seq2[api.Zone, error]
}

// NewestVersions knows the newest versions of all zones.
type NewestVersions interface {
	// Newest returns them by zone; an error means unknown, never none.
	Newest(ctx context.Context) (map[string]pdns.Version, error)
}

// Syncs starts syncs for checks.
type Syncs interface {
	// StartSync has a zone synced; nil once Temporal has taken it.
	StartSync(ctx context.Context, zone, trigger string) error
	// SyncLeftOver has a zone synced that may be gone although nothing of it was
	// ever published; likewise.
	SyncLeftOver(ctx context.Context, zone string, together int) error
	// StartBatch has zones synced in one batch of that name; likewise.
	StartBatch(ctx context.Context, name string, zones []string, trigger string) error
	// SyncBatch has zones synced in one batch, waits until every secondary was
	// asked to bring them, and counts them by what their exports found. It is
	// not checked from outside: whoever asks compares afterwards.
	SyncBatch(ctx context.Context, name string, zones []string, trigger string) (map[string]int, error)
}

// Scanner compares what a primary holds with what was published.
type Scanner struct {
	// ID is the primary's.
	ID       string
	PowerDNS ZoneLister
	Versions NewestVersions
	Lists    ListPublisher
	Syncs    Syncs
	// Selection says which zones are distributed.
	Selection pdns.Selection
	// SyncWithin bounds the syncs of one survey; 0 means half an hour.
	SyncWithin time.Duration

	mu sync.Mutex
	// looked is what earlier scans had synced without that anything was published.
	looked map[string]look
	// rest is until when listing the zones would take more than its share.
	rest time.Time
	// chosen is when a scan last chose the zones to sync.
	chosen time.Time
}

// sides are what a primary holds and what was published, and how they differ.
type sides struct {
	listed []pdns.Listed
	newest map[string]pdns.Version
	drift  pdns.Drift
	// leftOut counts the primary's other zones by kind.
	leftOut map[string]int
}

// look is how a zone stood when a scan had it synced, and when to do so again if
// it still stands so.
type look struct {
	zone  pdns.Listed
	last  int64
	again time.Time
}

// ScanZonesInput asks for a scan.
type ScanZonesInput struct {
	// Trigger is what the syncs are started with.
	Trigger string `json:"trigger"`
	// Paced leaves the scan out where listing would take more than its share of
	// the time.
	Paced bool `json:"paced,omitempty"`
}

// DriftCounts counts zones by how what was published differs from what the
// primary holds.
type DriftCounts struct {
	Unpublished int `json:"unpublished,omitempty"`
	Changed     int `json:"changed,omitempty"`
	Gone        int `json:"gone,omitempty"`
	Stale       int `json:"stale,omitempty"`
	// Names are the first few of these zones.
	Names []string `json:"names,omitempty"`
}

// ScanZonesResult says what a scan found.
type ScanZonesResult struct {
	Primary string `json:"primary"`
	Zones   int    `json:"zones"`
	// NotDistributed counts the zones by kind that the configuration leaves out,
	// PowerDNS's own catalogue zones among them.
	NotDistributed map[string]int `json:"not_distributed,omitempty"`
	Drift          DriftCounts    `json:"drift,omitzero"`
	// New are those of them whose syncs were started, Waiting counts those left
	// to the next scans. The others were looked at before, to no avail.
	New     DriftCounts `json:"new,omitzero"`
	Started int         `json:"started,omitempty"`
	Waiting int         `json:"waiting,omitempty"`
	// LeftOut is until when no scan is made, for it would take too much of the time.
	LeftOut time.Time `json:"left_out,omitzero"`
}

// ScanZones finds zones that were changed, added or removed past the api-proxy,
// and has them synced. Doing it twice is harmless: it only says where to look,
// the syncs decide.
func (s *Scanner) ScanZones(ctx context.Context, in ScanZonesInput) (ScanZonesResult, error) {
	var started atomic.Int64
	defer beat(ctx, func() any { return fmt.Sprintf("scanning, %d syncs started", started.Load()) })()
	now := time.Now()
	if rest := s.resting(); in.Paced && rest.After(now) {
		return ScanZonesResult{Primary: s.ID, LeftOut: rest}, nil
	}
	both, err := s.survey(ctx, now)
	if err != nil {
		return ScanZonesResult{}, classify(fmt.Errorf("scan primary %s: %w", s.ID, err))
	}
	chosen, waiting := s.choose(both, now)
	todo := append(chosen.Wrong(), chosen.Stale...)
	left, err := s.settle(ctx, chosen.Wrong(), &both, now)
	chosen = chosen.Only(left)
	if err == nil {
		err = s.start(ctx, append(left, chosen.Stale...), in.Trigger, now, &started)
	}
	if err != nil {
		s.forget(todo)
		return ScanZonesResult{}, fmt.Errorf("scan primary %s: %w", s.ID, err)
	}
	result := ScanZonesResult{Primary: s.ID, Zones: len(both.listed), NotDistributed: both.leftOut, Drift: countDrift(both.drift)}
	result.New, result.Started, result.Waiting = countDrift(chosen), int(started.Load()), waiting
	return result, nil
}

// forget has zones taken again whose syncs could not be started.
func (s *Scanner) forget(zones []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, zone := range zones {
		delete(s.looked, zone)
	}
}

func (s *Scanner) resting() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rest
}

// survey reads both sides completely, the primary's list first: a zone published
// in between is then no surprise.
func (s *Scanner) survey(ctx context.Context, now time.Time) (sides, error) {
	began := time.Now()
	both := sides{leftOut: make(map[string]int)}
	for zone, err := range s.PowerDNS.ServedZones(ctx) {
		if err != nil {
			return sides{}, err
		}
		if s.Selection.LeavesOut(zone.Name, zone.Kind, zone.Account) != "" {
			both.leftOut[zone.Kind]++
			continue
		}
		both.listed = append(both.listed, pdns.Listed{Zone: zone.Name, Serial: zone.EditedSerial, Signed: zone.DNSSEC || zone.Presigned})
	}
	s.mu.Lock()
	s.rest = time.Now().Add((scanShare - 1) * time.Since(began))
	s.mu.Unlock()
	var err error
	if both.newest, err = s.Versions.Newest(ctx); err != nil {
		return sides{}, err
	}
	both.drift = pdns.PlanScan(both.listed, both.newest, now)
	return both, nil
}

// settle returns those of the zones that go on differing from what is published, which
// syncs that are under way may bring into line with the list begun at now. It brings what
// was published, and the drift, up to date.
func (s *Scanner) settle(ctx context.Context, zones []string, both *sides, now time.Time) ([]string, error) {
	return settle(ctx, zones, func(differ []string) ([]string, error) {
		newest, err := s.Versions.Newest(ctx)
		if err != nil {
			return nil, err
		}
		both.newest, both.drift = newest, both.drift.Only(pdns.PlanScan(both.listed, newest, now).Wrong())
		return both.drift.Only(differ).Wrong(), nil
	})
}

// choose returns the zones to sync now, and counts those left for later. What
// was looked at and still stands the same waits its time.
func (s *Scanner) choose(both sides, now time.Time) (chosen pdns.Drift, waiting int) {
	drift, here := both.drift, make(map[string]pdns.Listed, len(both.listed))
	for _, zone := range both.listed {
		here[zone.Zone] = zone
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.looked
	s.looked = make(map[string]look)
	taken := 0
	take := func(zones []string, limit int, again time.Duration) (todo []string) {
		for _, zone := range zones {
			stands := look{zone: here[zone], last: both.newest[zone].Version}
			last, known := before[zone]
			stands.again = last.again
			switch {
			case known && stands == last && now.Before(last.again):
				s.looked[zone] = last
			case taken >= limit:
				waiting++
			default:
				stands.again = now.Add(again)
				s.looked[zone] = stands
				todo = append(todo, zone)
				taken++
			}
		}
		return todo
	}
	chosen.Gone = take(drift.Gone, scanStarts, lookAgain)
	chosen.Changed = take(drift.Changed, scanStarts, lookAgain)
	chosen.Unpublished = take(drift.Unpublished, scanStarts, lookAgain)
	since := scanEvery
	if !s.chosen.IsZero() {
		since = min(now.Sub(s.chosen), scanRare)
	}
	s.chosen = now
	share := min(pdns.RollShare(len(drift.Stale), since, now), scanStaleMost)
	chosen.Stale = take(drift.Stale, max(taken+share, min(scanStarts, taken+scanStale)), lookAgainStale)
	return chosen, waiting
}

// start has zones synced, few of them each alone, and counts them in started.
func (s *Scanner) start(ctx context.Context, zones []string, trigger string, now time.Time, started *atomic.Int64) error {
	if len(zones) <= scanAlone {
		return startEach(ctx, zones, started, func(zone string) error { return s.Syncs.StartSync(ctx, zone, trigger) })
	}
	for i, batch := range slices.Collect(slices.Chunk(zones, MaxBatch)) {
		if err := s.Syncs.StartBatch(ctx, batchName(trigger, now, i), batch, trigger); err != nil {
			return err
		}
		started.Add(int64(len(batch)))
	}
	return nil
}

// batchName is a new one each time: a batch that runs has perhaps looked at its
// zones already.
func batchName(trigger string, now time.Time, n int) string {
	return fmt.Sprintf("%s-%s-%d", trigger, now.UTC().Format("20060102T150405.000000"), n+1)
}

func countDrift(d pdns.Drift) DriftCounts {
	return DriftCounts{
		Unpublished: len(d.Unpublished), Changed: len(d.Changed), Gone: len(d.Gone), Stale: len(d.Stale), Names: first(d.Wrong()),
	}
}
