package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"
)

const (
	// bulkAtOnce is how many zones of batches and full compares a secondary brings
	// at the same time, all of them together. Above this PowerDNS on two cores gets
	// no faster, and single changes, which do not count here, wait longer.
	bulkAtOnce = 6
	// underWayAtOnce is how many of them are asked for meanwhile, or are ready to be
	// brought: NATS may be a tenth of a second away, and is asked twice for each. What
	// they carry is at most 128 KiB each, and comes over one connection.
	underWayAtOnce = 64
)

// brought is what became of many zones.
type brought struct {
	mu       sync.Mutex
	outcomes map[string]int
	// failed are zones that could not be brought, hopeless those that never
	// can, ahead those whose applied version is above the newest published one.
	failed, hopeless, ahead []string
	// above is the highest applied version of those ahead.
	above int64
	// first is what was wrong with the first of failed, why with that of hopeless.
	first, why error
}

// errLater says that a zone was left to whoever brings the next ones.
var errLater = errors.New("there is no time left to begin it")

// crowd is the zones of one batch, or of one piece of a full compare.
type crowd struct {
	*Secondary
	// until is when none is begun any more but the first; zero means never.
	until time.Time
	// line is held by the one of them that is next: crowds take turns, however many
	// zones of one are under way.
	line *semaphore.Weighted

	one atomic.Bool // was begun
}

func (c *crowd) late() bool {
	return c.one.Load() && !c.until.IsZero() && time.Now().After(c.until)
}

// turn waits until it is the turn of a zone, and takes it until free is called.
// Nothing is begun too late, nor once the secondary is paused.
func (c *crowd) turn(ctx context.Context, begun *atomic.Bool) (free func(), err error) {
	if err := c.line.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	defer c.line.Release(1)
	if c.late() && !begun.Load() { // and does not wait for the turn of another crowd
		return nil, errLater
	}
	turns := c.turns.of(bulkAtOnce)
	if err := turns.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	switch {
	case begun.Load():
	case c.late():
		err = errLater
	case !c.Gate.IsOpen():
		err = pausedError(c.ID)
	}
	if err != nil {
		turns.Release(1)
		return nil, err
	}
	begun.Store(true)
	c.one.Store(true)
	return sync.OnceFunc(func() { turns.Release(1) }), nil
}

// bringAll brings each of zones to its newest version and counts done up. But for one,
// none is begun after until, unless that is zero; later are those that were not. The
// error is that of ctx; what is wrong with single zones is in the result.
func (s *Secondary) bringAll(ctx context.Context, zones []string, how bringing, done *atomic.Int64, until time.Time) (result *brought, later []string, err error) {
	result = &brought{outcomes: make(map[string]int)}
	begun := make([]atomic.Bool, len(zones))
	all := crowd{Secondary: s, until: until, line: semaphore.NewWeighted(1)}
	underWay := s.underWay.of(underWayAtOnce)
	var group errgroup.Group
	for i, zone := range zones {
		if all.late() || underWay.Acquire(ctx, 1) != nil {
			break
		}
		one := how
		one.turn = func(ctx context.Context) (func(), error) { return all.turn(ctx, &begun[i]) }
		group.Go(func() error {
			defer underWay.Release(1)
			if s.bringOne(ctx, zone, one, result) {
				begun[i].Store(true)
				all.one.Store(true)
				done.Add(1)
			}
			return nil
		})
	}
	err = errors.Join(group.Wait(), ctx.Err())
	for i, zone := range zones {
		if !begun[i].Load() {
			later = append(later, zone)
		}
	}
	return result, later, err
}

// bringOne brings one zone of many, and reports whether it was its turn.
func (s *Secondary) bringOne(ctx context.Context, zone string, how bringing, result *brought) bool {
	started := time.Now()
	applied, err := s.bringToNewest(ctx, zone, how)
	if errors.Is(err, errLater) {
		return false
	}
	if known := how.known[zone]; err == nil && applied.fallsShort(known) {
		err = versionLost(zone, applied.Version, known, true)
	}
	s.Metrics.observed(result.note(zone, applied.Outcome, err), time.Since(started).Seconds())
	return true
}

// note returns the outcome under which a zone is counted.
func (b *brought) note(zone, outcome string, err error) string {
	b.mu.Lock()
	defer b.mu.Unlock()
	applied, ahead := newerThanPublished(err)
	switch {
	case errors.Is(err, errPaused):
		outcome = AppliedPaused
	case ahead:
		b.ahead, b.above = append(b.ahead, zone), max(b.above, applied)
		outcome = "ahead"
	case hopeless(err):
		b.hopeless = append(b.hopeless, zone)
		outcome = "failed"
		if b.why == nil {
			b.why = fmt.Errorf("zone %s: %w", zone, err)
		}
	case err != nil:
		b.failed = append(b.failed, zone)
		outcome = "failed"
		if b.first == nil {
			b.first = fmt.Errorf("zone %s: %w", zone, err)
		}
	}
	b.outcomes[outcome]++
	return outcome
}

// failure is what was wrong with the first zone that failed, stripped of its
// type: whether many zones are worth another try does not hang on one of them.
func (b *brought) failure() error {
	if b.first == nil {
		return nil
	}
	return errors.New(b.first.Error())
}

// giveUp counts those that failed among the hopeless: whoever compares next finds
// them again.
func (b *brought) giveUp() {
	if b.why == nil {
		b.why = b.first
	}
	b.hopeless, b.failed, b.first = append(b.hopeless, b.failed...), nil, nil
}

// reason is what was wrong with the first hopeless zone, empty when there is none.
func (b *brought) reason() string {
	if b.why == nil {
		return ""
	}
	return b.why.Error()
}
