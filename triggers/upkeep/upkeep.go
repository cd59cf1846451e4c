// Package upkeep makes what the system keeps in NATS and Temporal (streams,
// buckets, search attributes, schedules) at start and looks after it once a
// minute. Every primary runs it; that several do so at once is harmless.
package upkeep

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	every      = time.Minute
	pruneEvery = 10 * time.Minute
	// pruneAge is how long content that is not the newest any more is kept for
	// those who are still reading it.
	pruneAge = time.Hour
	// youth is up to which age another primary may just have made a thing.
	youth = time.Minute
)

// attributes are the search attributes that the workflows set.
var attributes = temporal.Attributes{
	workflows.AttributeZone:      enums.INDEXED_VALUE_TYPE_KEYWORD_LIST,
	workflows.AttributeSecondary: enums.INDEXED_VALUE_TYPE_KEYWORD,
	workflows.AttributeTrigger:   enums.INDEXED_VALUE_TYPE_KEYWORD,
	workflows.AttributeOutcome:   enums.INDEXED_VALUE_TYPE_KEYWORD,
}

// Upkeep looks after NATS and Temporal. Make it with [New].
type Upkeep struct {
	// JetStream is made as Broker says.
	JetStream jetstream.JetStream
	Broker    broker.Config
	// Temporal is made in Namespace, with Schedules.
	Temporal  client.Client
	Namespace string
	Schedules []temporal.Schedule
	// Versions is pruned every 10 minutes.
	Versions *versions.Store
	Logger   *slog.Logger
	// OnRecreated is called with the names of what had existed and had to be
	// made again. Optional.
	OnRecreated func(what []string)

	wake  chan struct{}
	youth time.Duration
}

// New returns u ready to run.
func New(u Upkeep) *Upkeep {
	u.wake, u.youth = make(chan struct{}, 1), youth
	return &u
}

// Wake has everything looked after now instead of within a minute, such as when
// a lost connection stands again. It never blocks.
func (u *Upkeep) Wake() {
	select {
	case u.wake <- struct{}{}:
	default:
	}
}

// Run looks after everything at once and then every minute, until ctx ends.
// Failures are logged when they change and tried again.
func (u *Upkeep) Run(ctx context.Context) {
	parts := u.parts()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		u.pass(ctx, parts)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-u.wake:
		}
	}
}

func (u *Upkeep) parts() []*part {
	parts := []*part{
		{
			what:   "upkeep of NATS streams and buckets",
			ensure: func(ctx context.Context) ([]string, error) { return broker.Ensure(ctx, u.JetStream, u.Broker) },
			oldest: func(ctx context.Context) (time.Time, error) { return broker.Oldest(ctx, u.JetStream, u.Broker) },
		},
		{
			what: "upkeep of Temporal search attributes",
			ensure: func(ctx context.Context) ([]string, error) {
				return temporal.EnsureSearchAttributes(ctx, u.Temporal, u.Namespace, attributes)
			},
		},
		{
			what: "upkeep of Temporal schedules",
			ensure: func(ctx context.Context) ([]string, error) {
				return temporal.EnsureSchedules(ctx, u.Temporal, u.Schedules)
			},
			oldest: func(ctx context.Context) (time.Time, error) {
				return temporal.OldestSchedule(ctx, u.Temporal, u.Schedules)
			},
		},
		{
			what:   "pruning of snapshots",
			every:  pruneEvery,
			ensure: func(ctx context.Context) ([]string, error) { return nil, u.Versions.Prune(ctx, pruneAge) },
		},
	}
	for _, p := range parts {
		p.log, p.state = u.Logger, outage.Log{Logger: u.Logger, What: p.what}
	}
	return parts
}

// pass looks after every part once and tells what had to be made again.
func (u *Upkeep) pass(ctx context.Context, parts []*part) {
	var again []string
	for _, p := range parts {
		again = append(again, p.look(ctx, u.youth)...)
	}
	again = append(again, firstMade(parts)...)
	if len(again) == 0 || ctx.Err() != nil {
		return
	}
	slices.Sort(again)
	u.Logger.Warn("made again what had been lost", "what", again)
	if u.OnRecreated != nil {
		u.OnRecreated(again)
	}
}
