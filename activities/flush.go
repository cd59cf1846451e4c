package activities

import (
	"context"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// flushPace is the time between two flushes for zones that were just made:
	// those that are made meanwhile share the next one, which begins sooner where
	// they are flushGroup.
	flushPace  = 50 * time.Millisecond
	flushGroup = 6
)

// flushes drops what the local PowerDNS has cached of zones that were just made,
// such as its answer that there is no such zone. That takes it two thirds of what
// making the zone does (each call of its API has a thread of its own, which seeds a
// random generator by 624 calls of getrandom: 4.7), so many that are made at once
// share a flush: of all that is cached, where PowerDNS is asked so little that nobody
// misses it. The zero value is ready.
type flushes struct {
	mu      sync.Mutex
	next    *flush
	last    time.Time
	again   time.Time // when the last further flush of all was asked for
	traffic pdns.Traffic

	counting sync.Mutex
}

// flush is one for all zones that come before it begins.
type flush struct {
	zones int
	// full is closed once these are many, done when the flush has ended.
	full, done chan struct{}
	// all says that it has dropped all that is cached.
	all bool
}

// flushNew drops what is cached of a zone that was just made, alone or with others. It
// calls free where it waits for others.
func (s *Secondary) flushNew(ctx context.Context, zone string, free func()) error {
	if s.flushShared(ctx, free) {
		return nil
	}
	defer s.flushLater(zone, flushLaterAfter)
	return s.dropCaches(ctx, zone, false)
}

// flushShared takes part in a flush of all that is cached, and says whether there was
// one: not for one zone, nor where it would be missed, nor where it failed.
func (s *Secondary) flushShared(ctx context.Context, free func()) bool {
	f, first := s.flushes.join(time.Now())
	if f == nil {
		return false
	}
	free()
	switch {
	case first && s.flushes.begin(ctx, f) == 1:
		return false
	case first:
		f.all = s.flushes.fewAsk(ctx, s.PowerDNS) && s.dropCaches(ctx, ".", false) == nil
		if f.all && s.flushes.askAgain(time.Now()) {
			s.flushLater(".", 2*flushLaterAfter)
		}
		close(f.done)
	}
	select {
	case <-f.done:
		return f.all
	case <-ctx.Done():
		return false
	}
}

// join takes part in the next flush, which the first one to do so makes; nil where
// PowerDNS was just found to be asked much.
func (f *flushes) join(now time.Time) (next *flush, first bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.traffic.Many(now) {
		return nil, false
	}
	if f.next == nil {
		f.next, first = &flush{full: make(chan struct{}), done: make(chan struct{})}, true
	}
	if f.next.zones++; f.next.zones == flushGroup {
		close(f.next.full)
	}
	return f.next, first
}

// begin waits until it is time for the next flush, and returns for how many zones it
// is.
func (f *flushes) begin(ctx context.Context, next *flush) int {
	f.mu.Lock()
	wait := time.Until(f.last.Add(flushPace))
	f.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-next.full:
	case <-ctx.Done():
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next, f.last = nil, time.Now()
	return next.zones
}

// askAgain says that a further flush of all is needed 2*flushLaterAfter from now: it
// is late enough for all flushes of the first half of that time.
func (f *flushes) askAgain(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.again) < flushLaterAfter {
		return false
	}
	f.again = now
	return true
}

// fewAsk says whether few ask PowerDNS; false where that is not known.
func (f *flushes) fewAsk(ctx context.Context, powerDNS SecondaryPowerDNS) bool {
	f.mu.Lock()
	due, few := f.traffic.Due(time.Now()), f.traffic.Few()
	f.mu.Unlock()
	if !due {
		return few
	}
	if !f.counting.TryLock() { // another one is just finding out
		return false
	}
	defer f.counting.Unlock()
	queries, err := powerDNS.Queries(ctx)
	if err != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traffic.Count(time.Now(), queries)
	return f.traffic.Few()
}
