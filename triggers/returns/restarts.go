package returns

import (
	"context"
	"time"
)

const (
	// lookEvery paces the questions for PowerDNS's uptime.
	lookEvery = time.Second
	// uptimeStep is how far two answers of one process may be apart: PowerDNS
	// counts its uptime in whole seconds.
	uptimeStep = 1500 * time.Millisecond
)

// WatchRestarts asks for a reconcile whenever the local PowerDNS was started
// again, until ctx ends. It may have come back with another database, empty or
// from a backup, and so quickly that nobody found it away.
//
// uptime returns how long PowerDNS has been running; an error means unknown.
func (r *Returns) WatchRestarts(ctx context.Context, uptime func(context.Context) (time.Duration, error)) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for started := (time.Time{}); ; {
		// By the wall clock, as PowerDNS counts: when that is set, both move.
		now := time.Now().Round(0)
		if up, err := uptime(ctx); err == nil {
			began := now.Add(-up)
			again := began.Sub(started) > uptimeStep
			if again && !started.IsZero() {
				r.Notice("its PowerDNS was started again")
			}
			if again {
				started = began
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
