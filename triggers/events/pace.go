package events

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// alonePerSecond zones a second, and aloneBurst at once, get a sync of their
	// own; what comes faster, as an import does, goes in batches. A sync of its
	// own costs Temporal about 40 ms of CPU, its share in a batch well under one.
	alonePerSecond = 2
	aloneBurst     = 8
	// remembered is how long a zone's sync surely still runs after its last
	// event (it waits to check from outside, by default 20 s): another event is
	// then but a signal to it.
	remembered = 10 * time.Second
)

// pace says which zones get a sync of their own.
type pace struct {
	limiter *rate.Limiter

	mu     sync.Mutex
	recent map[string]time.Time
	swept  time.Time
}

func newPace() *pace {
	return &pace{limiter: rate.NewLimiter(alonePerSecond, aloneBurst), recent: make(map[string]time.Time)}
}

// alone decides for one event at now.
func (p *pace) alone(zone string, now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sweep(now)
	last, known := p.recent[zone]
	if (!known || now.Sub(last) > remembered) && !p.spare(now) {
		return false
	}
	p.recent[zone] = now
	return true
}

// spare says whether there is a sync to spare. Whoever goes in a batch counts as
// well, until the backlog ends, so that an import is not given two a second beside
// its batches.
func (p *pace) spare(now time.Time) bool {
	r := p.limiter.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > backlogEnds {
		r.CancelAt(now)
	}
	return wait == 0
}

// sweep forgets old zones now and then.
func (p *pace) sweep(now time.Time) {
	if now.Sub(p.swept) < remembered {
		return
	}
	p.swept = now
	for zone, last := range p.recent {
		if now.Sub(last) > remembered {
			delete(p.recent, zone)
		}
	}
}
