package activities

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// namesShown bounds the zone names that a result carries.
const namesShown = 20

// Exporter has zones exported on a primary.
type Exporter interface {
	// ExportAbove has zones exported with versions above a number, and applied; nil
	// once Temporal has taken it.
	ExportAbove(ctx context.Context, zones []string, above int64) error
}

// ReconcileZonesInput asks for a piece of a full compare.
type ReconcileZonesInput struct {
	// Compare names the full compare: a piece of the same one goes on where the
	// last piece ended.
	Compare string `json:"compare,omitempty"`
	// Within is how long zones are begun; without it the piece is the whole.
	Within time.Duration `json:"within,omitempty"`
	// Adopt names foreign zones to take over where a version of them is
	// published; AdoptAll means all of them.
	Adopt    []string `json:"adopt,omitempty"`
	AdoptAll bool     `json:"adopt_all,omitempty"`
}

// ReconcileZonesResult counts what a full compare of one secondary found, and
// what one piece of it did.
type ReconcileZonesResult struct {
	Zones   int `json:"zones"`
	Current int `json:"current"`
	Applied int `json:"applied"`
	Deleted int `json:"deleted"`
	// Foreign and Unknown count zones that were left alone; the names are
	// the first few.
	Foreign      int      `json:"foreign"`
	ForeignZones []string `json:"foreign_zones,omitempty"`
	// Blocked counts the foreign zones in the way of a published version.
	Blocked int `json:"blocked"`
	// Adopted counts those that were taken over.
	Adopted      int      `json:"adopted,omitempty"`
	Unknown      int      `json:"unknown"`
	UnknownZones []string `json:"unknown_zones,omitempty"`
	// Ahead counts zones whose applied version was above the newest published
	// one: a fresh export of them was asked for.
	Ahead      int      `json:"ahead"`
	AheadZones []string `json:"ahead_zones,omitempty"`
	// Failed counts zones that this secondary can never hold as things are, or that
	// failed again and again; Reason is what was wrong with the first of them.
	Failed      int      `json:"failed,omitempty"`
	FailedZones []string `json:"failed_zones,omitempty"`
	Reason      string   `json:"reason,omitempty"`
	// Remaining counts the zones left to the next piece.
	Remaining int `json:"remaining,omitempty"`
}

// Done counts the zones that this piece is done with.
func (r ReconcileZonesResult) Done() int { return r.Applied + r.Deleted + r.Ahead + r.Failed }

// Add takes in the next piece of the same full compare.
func (r *ReconcileZonesResult) Add(next ReconcileZonesResult) {
	next.Applied += r.Applied
	next.Deleted += r.Deleted
	next.Ahead += r.Ahead
	next.Failed += r.Failed
	next.Adopted += r.Adopted
	next.AheadZones = first(append(slices.Clone(r.AheadZones), next.AheadZones...))
	next.FailedZones = first(append(slices.Clone(r.FailedZones), next.FailedZones...))
	if r.Reason != "" {
		next.Reason = r.Reason
	}
	*r = next
}

// fullCompare is what is left of a full compare between two pieces.
type fullCompare struct {
	name string
	plan pdns.Plan
	// zones counts the published ones, todo are those still to be brought.
	zones int
	todo  []string
	// adopt are the foreign zones to take over first.
	adopt []string
	// vain counts the zones begun since one was last brought, all of which failed.
	vain int
}

// vainRounds is how often each of the zones that are left is begun, where one piece
// cannot begin all of them, before they are given up. There one round takes minutes.
const vainRounds = 3

// inVain takes in a piece that has begun so many zones, and reports whether all that
// are left have failed: in this piece, or again and again since one was last brought.
func (w *fullCompare) inVain(begun int, b *brought) bool {
	if begun == 0 || len(b.failed) < begun {
		w.vain = 0
		return false
	}
	w.vain += begun
	return begun == len(w.todo) || w.vain >= vainRounds*len(w.todo)
}

// ReconcileZones compares all zones of this secondary with the newest versions
// and brings those that differ, piece by piece. It is resumable at any moment: a
// piece that finds nothing of the one before compares anew and finds less to do.
func (s *Secondary) ReconcileZones(ctx context.Context, in ReconcileZonesInput) (ReconcileZonesResult, error) {
	var done, total atomic.Int64
	defer beat(ctx, func() any { return batchProgress{Done: done.Load(), Total: int(total.Load())} })()
	if !s.Gate.IsOpen() {
		return ReconcileZonesResult{}, classify(pausedError(s.ID))
	}
	work, err := s.takeUp(ctx, in)
	if err != nil {
		return ReconcileZonesResult{}, classify(fmt.Errorf("reconcile secondary %s: %w", s.ID, err))
	}
	adopted, err := s.adopt(ctx, work, &done)
	if err != nil {
		return ReconcileZonesResult{}, classify(fmt.Errorf("reconcile secondary %s: %w", s.ID, err))
	}
	total.Store(int64(len(work.todo)))
	until := time.Time{}
	if in.Within > 0 {
		until = time.Now().Add(in.Within)
	}
	brought, later, err := s.bringAll(ctx, work.todo, bringing{missing: work.plan.Missing}, &done, until)
	if err == nil && len(brought.ahead) > 0 {
		err = s.Exporter.ExportAbove(ctx, brought.ahead, brought.above)
	}
	if err != nil {
		return ReconcileZonesResult{}, fmt.Errorf("reconcile secondary %s after %d of %d zones: %w", s.ID, done.Load(), len(work.todo), err)
	}
	if brought.outcomes[AppliedPaused] > 0 {
		return ReconcileZonesResult{}, classify(fmt.Errorf("after %d of %d zones: %w", done.Load(), len(work.todo), pausedError(s.ID)))
	}
	// Those that failed come last.
	left, begun := slices.Concat(later, brought.failed), len(work.todo)-len(later)
	if work.inVain(begun, brought) {
		// Where one piece can begin all of them, they are tried again as often as a batch.
		if begun == len(work.todo) && activity.GetInfo(ctx).Attempt < batchAttempts {
			// Retryable whatever the first failure was: the next attempt has only
			// the failed zones left.
			work.todo = left
			s.full.Store(work)
			return ReconcileZonesResult{}, fmt.Errorf("reconcile secondary %s: %d zones failed, the first: %w", s.ID, begun, brought.failure())
		}
		brought.failed, begun = left, len(work.todo)
		brought.giveUp()
		left = nil
	}
	work.todo = left
	if len(work.todo) > 0 {
		s.full.Store(work)
	}
	result := work.result(begun, brought)
	result.Adopted = adopted.ours()
	result.Failed += len(adopted.hopeless)
	result.FailedZones = first(append(result.FailedZones, adopted.hopeless...))
	result.Reason = cmp.Or(result.Reason, adopted.reason())
	s.Metrics.reconciled(result, time.Now())
	return result, nil
}

// takeUp returns what the last piece of this full compare has left, or begins
// it: all three sides are read completely before anything is decided.
func (s *Secondary) takeUp(ctx context.Context, in ReconcileZonesInput) (*fullCompare, error) {
	if work := s.full.Swap(nil); work != nil && work.name == in.Compare {
		return work, nil
	}
	var newest []pdns.Catalogued
	for v, err := range s.Versions.All(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the newest versions: %w", err)
		}
		newest = append(newest, pdns.CataloguedFrom(v))
	}
	newest = pdns.SortCatalogued(newest)
	side, err := s.side(ctx, newest)
	if err != nil {
		return nil, err
	}
	plan := side.Plan()
	return &fullCompare{
		name: in.Compare, plan: plan, zones: len(newest), todo: slices.Concat(plan.Apply, plan.Delete), adopt: in.adopts(plan.Foreign, newest),
	}, nil
}

// result is that of a piece that has begun so many zones.
func (w *fullCompare) result(begun int, b *brought) ReconcileZonesResult {
	deleted := b.outcomes[AppliedDelete]
	return ReconcileZonesResult{
		Zones: w.zones, Current: w.plan.Current, Deleted: deleted, Remaining: len(w.todo),
		Applied: begun - deleted - len(b.ahead) - len(b.hopeless) - len(b.failed),
		Foreign: len(w.plan.Foreign), ForeignZones: first(w.plan.Foreign), Blocked: w.plan.Blocked,
		Unknown: len(w.plan.Unknown), UnknownZones: first(w.plan.Unknown),
		Ahead: len(b.ahead), AheadZones: first(b.ahead),
		Failed: len(b.hopeless), FailedZones: first(b.hopeless), Reason: b.reason(),
	}
}

func first(zones []string) []string {
	return zones[:min(len(zones), namesShown)]
}
