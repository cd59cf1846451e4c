package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// bulkAtOnce is how many zones of batches and full compares a secondary brings
// at the same time, all of them together. Above this PowerDNS on two cores gets
// no faster, and single changes, which do not count here, wait longer.
const bulkAtOnce = 6

// bulkSlots bounds what many batches do at once. The zero value is ready.
type bulkSlots struct {
	once  sync.Once
	slots chan struct{}
}

func (b *bulkSlots) take(ctx context.Context) error {
	b.once.Do(func() { b.slots = make(chan struct{}, bulkAtOnce) })
	select {
	case b.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (b *bulkSlots) free() { <-b.slots }

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

// bringAll brings each of zones to its newest version and counts done up. None is
// begun after until, unless that is zero; begun says how many were. The error
// is that of ctx; what is wrong with single zones is in the result.
func (s *Secondary) bringAll(ctx context.Context, zones []string, how bringing, done *atomic.Int64, until time.Time) (result *brought, begun int, err error) {
	result = &brought{outcomes: make(map[string]int)}
	var group errgroup.Group
	for _, zone := range zones {
		if !until.IsZero() && time.Now().After(until) || s.bulk.take(ctx) != nil {
			break
		}
		begun++
		group.Go(func() error {
			defer s.bulk.free()
			started := time.Now()
			applied, err := s.bringToNewest(ctx, zone, how)
			if known := how.known[zone]; err == nil && applied.fallsShort(known) {
				err = versionLost(zone, applied.Version, known, true)
			}
			s.Metrics.observed(result.note(zone, applied.Outcome, err), time.Since(started).Seconds())
			done.Add(1)
			return nil
		})
	}
	err = errors.Join(group.Wait(), ctx.Err())
	return result, begun, err
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
