// Package returns has a secondary reconciled when it, or something that it
// needs, comes back: its worker started, its PowerDNS or its connection to NATS
// returned. It runs on the secondary itself and goes through the dispatcher.
package returns

import (
	"context"
	"log/slog"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// retryEvery paces the attempts while Temporal does not take the request.
const retryEvery = 2 * time.Second

// Dispatcher starts workflows.
type Dispatcher interface {
	// ReconcileSecondary returns nil once Temporal has taken it.
	ReconcileSecondary(ctx context.Context, in workflows.ReconcileSecondaryInput) error
}

// Returns asks for the reconcile of one secondary. Make it with [New].
type Returns struct {
	id         string
	dispatcher Dispatcher
	logger     *slog.Logger
	notices    chan string
}

// New returns what asks for reconciles of secondary id.
func New(id string, dispatcher Dispatcher, logger *slog.Logger) *Returns {
	return &Returns{id: id, dispatcher: dispatcher, logger: logger, notices: make(chan string, 1)}
}

// Notice asks for a reconcile, with the reason in words. It never blocks; a
// notice that another one overtakes is served by the same reconcile.
func (r *Returns) Notice(reason string) {
	select {
	case r.notices <- reason:
	default:
	}
}

// Run hands notices to the dispatcher, each until Temporal took it, until ctx
// ends.
func (r *Returns) Run(ctx context.Context) {
	state := outage.Log{Logger: r.logger, What: "start of this secondary's reconcile"}
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case reason := <-r.notices:
			in := workflows.ReconcileSecondaryInput{Secondary: r.id, Trigger: workflows.TriggerReturn, Reason: reason}
			for {
				err := r.dispatcher.ReconcileSecondary(ctx, in)
				if err == nil {
					break
				}
				state.Failed(err, "secondary", r.id)
				select {
				case <-ctx.Done():
					return
				case <-tick.C:
				}
			}
			state.OK("secondary", r.id)
			r.logger.Info("asked for a full compare of this secondary", "reason", reason)
		}
	}
}
