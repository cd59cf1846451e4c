// Package presence turns a secondary that becomes reachable, as Consul sees it,
// into a ReconcileSecondary workflow: whatever it missed is found and repaired.
package presence

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// debounce is how long a secondary must stay reachable first.
	debounce = 2 * time.Second
	// retryAfter is the pause before Temporal is asked again.
	retryAfter = 5 * time.Second
	// startTimeout bounds one start, so that a hanging Temporal holds nobody up
	// for long.
	startTimeout = 10 * time.Second
)

// Dispatcher starts workflows.
type Dispatcher interface {
	// ReconcileSecondary starts the reconcile of a secondary or asks the
	// running one for another round; nil once Temporal has taken it.
	ReconcileSecondary(ctx context.Context, in workflows.ReconcileSecondaryInput) error
}

// Watcher tells who becomes reachable; see [discovery.Client.Watch].
type Watcher interface {
	Watch(ctx context.Context, service string, report func(id string, up bool))
}

// Presence reconciles secondaries that return.
type Presence struct {
	Watcher    Watcher
	Dispatcher Dispatcher
	Logger     *slog.Logger
}

// Run watches until ctx ends. Each secondary that has been reachable for 2 s is
// handed to the dispatcher, again and again until Temporal took it or the
// secondary is gone.
func (p *Presence) Run(ctx context.Context) {
	due := newDueList()
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() {
		p.Watcher.Watch(ctx, discovery.ServiceSecondary, func(id string, up bool) {
			p.Logger.Info("Consul reports a secondary", "secondary", id, "reachable", up)
			if up {
				due.set(id, time.Now().Add(debounce))
			} else {
				due.drop(id)
			}
		})
	})
	state := outage.Log{Logger: p.Logger, What: "start of ReconcileSecondary"}
	for {
		select {
		case <-ctx.Done():
			return
		case <-due.sooner:
		case now := <-due.next():
			for _, id := range due.take(now) {
				p.start(ctx, id, due, &state)
			}
		}
	}
}

// start hands one secondary to the dispatcher, or puts it back for later.
func (p *Presence) start(ctx context.Context, id string, due *dueList, state *outage.Log) {
	bounded, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	err := p.Dispatcher.ReconcileSecondary(bounded, workflows.ReconcileSecondaryInput{
		Secondary: id, Trigger: workflows.TriggerReturn, Reason: "reachable in Consul",
	})
	if err == nil {
		state.OK("secondary", id)
		return
	}
	if ctx.Err() == nil {
		state.Failed(err, "secondary", id)
		due.putBack(id, time.Now().Add(retryAfter))
	}
}
