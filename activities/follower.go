package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// followAtOnce is how many zones are applied ahead at the same time; those that
	// were made wait for a flush that they share, half of the time.
	followAtOnce = 8
	// followWaiting bounds the contents, in bytes, that wait for that. What
	// does not fit is left to the sync.
	followWaiting = 16 << 20
	// followWithin bounds one apply ahead.
	followWithin = 10 * time.Second
)

// Follower applies versions on this secondary as they are published, while
// Temporal still brings the sync's ApplyZone here, which then finds its work done
// and reports it. It is a head start and nothing else: what it leaves out, or
// fails at, the sync does.
//
// It is safe since it applies only what is above the applied version, under
// the zone's lock: a published version is always right to apply, and it never
// goes back. Unlike an activity it does not ask NATS for the newest version:
// NATS has just sent it.
type Follower struct {
	secondary *Secondary
	wake      chan struct{}

	mu      sync.Mutex
	pending map[string]publication
	order   []string
	size    int
}

// publication is a version with its content; nil where an object holds it, or its
// base's.
type publication struct {
	version pdns.Version
	content []byte
	// trace is the header of the trace that it belongs to, if any; seen is when it came.
	trace string
	seen  time.Time
}

// size is about how much memory it takes, in bytes.
func (p publication) size() int {
	if p.version.Unproven() {
		return pdns.MaxDeltaSize
	}
	return len(p.content)
}

// NewFollower returns what applies versions ahead on s.
func NewFollower(s *Secondary) *Follower {
	return &Follower{secondary: s, wake: make(chan struct{}, followAtOnce), pending: make(map[string]publication)}
}

// Published takes a version that was just published, with the header of its trace.
// It does not wait. Of several versions of a zone that wait, the newest is applied.
func (f *Follower) Published(v pdns.Version, content []byte, trace string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	before, waits := f.pending[v.Zone]
	size := f.size - before.size() + publication{version: v, content: content}.size()
	if v.Version <= before.version.Version || size > followWaiting || v.Object != "" {
		return
	}
	if !waits {
		f.order = append(f.order, v.Zone)
	}
	f.pending[v.Zone], f.size = publication{v, content, trace, time.Now()}, size
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Run applies what is published until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	var workers sync.WaitGroup
	for range followAtOnce {
		workers.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case <-f.wake:
				}
				for next, ok := f.take(); ok && ctx.Err() == nil; next, ok = f.take() {
					f.apply(ctx, next)
				}
			}
		})
	}
	workers.Wait()
}

// take returns what has waited longest.
func (f *Follower) take() (publication, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.order) == 0 {
		return publication{}, false
	}
	zone := f.order[0]
	f.order = f.order[1:]
	next := f.pending[zone]
	delete(f.pending, zone)
	f.size -= next.size()
	return next, true
}

// apply brings one zone to a version. What goes wrong the sync meets again, and
// reports it.
func (f *Follower) apply(ctx context.Context, next publication) {
	ctx, cancel := context.WithTimeout(ctx, followWithin)
	defer cancel()
	started := time.Now()
	v := next.version
	ctx, ended := trace.StartAt(trace.Join(ctx, next.trace), next.seen, "apply", trace.Secondary(f.secondary.ID), trace.Zone(v.Zone), trace.Version(v.Version), trace.Serial(v.Serial))
	outcome, err := f.secondary.bringAhead(ctx, next)
	trace.Note(ctx, trace.Outcome(outcome))
	ended(err)
	if err == nil {
		f.secondary.Metrics.observed(outcome, time.Since(started).Seconds())
	}
}

// bringAhead brings a zone to a published version if that is above the applied
// one, or is that one and is not what is served.
func (s *Secondary) bringAhead(ctx context.Context, p publication) (string, error) {
	leave, err := s.Gate.enter(p.version.Zone, s.ID)
	if err != nil {
		return "", err
	}
	defer leave()
	unlock, err := s.zones.lock(ctx, p.version.Zone)
	if err != nil {
		return "", err
	}
	defer unlock()
	applied, known, err := s.Applied.Get(p.version.Zone)
	if err != nil {
		return "", err
	}
	if known && (applied.Version > p.version.Version || applied.Stands(p.version.Version)) {
		return AppliedCurrent, nil
	}
	outcome, err := s.bring(ctx, p.version, pdns.AppliedIf(applied, known), false, p.open, func() {})
	if err != nil || outcome == AppliedForeign {
		return outcome, err
	}
	_, noted := trace.Start(ctx, "apply note")
	err = s.Applied.Set(pdns.AppliedFrom(p.version, time.Now()))
	noted(err)
	if err != nil {
		return "", fmt.Errorf("note what was applied: %w", err)
	}
	return outcome, nil
}

// open is the opener for content that came with the version. A big zone is left to
// the sync, also where a delta of it must be applied in full.
func (p publication) open(context.Context, pdns.Version) (func(context.Context) (io.ReadCloser, error), error) {
	if len(p.content) == 0 {
		return nil, errors.New("the content lies in an object, or that of its base does")
	}
	return inMemory(p.content), nil
}
