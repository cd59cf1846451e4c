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
	"golang.org/x/sync/semaphore"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/guard"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// every paces the passes: what failed is tried again that soon. Each part
	// says how often it is looked at while it stands.
	every = 5 * time.Second
	// lookEvery is how often what costs some questions is looked at. The return of
	// the connection to NATS, and lost search attributes, have it looked at now.
	lookEvery  = time.Minute
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
	// Holds are what the guard holds; Resume has one of them shown, unless it is.
	Holds  *guard.Store
	Resume func(ctx context.Context, hold string) error
	Logger *slog.Logger
	// OnRecreated is called with the names of what had existed and had to be
	// made again, until it returns no error: a minute after one. It may wait for what
	// it has started; one call is under way at a time. Optional.
	OnRecreated func(ctx context.Context, what []string) error
	// OwedFile keeps what was made, for the next process, until OnRecreated has taken it or
	// the system has turned out to be new; empty keeps nothing.
	OwedFile string

	wake  chan struct{}
	youth time.Duration
	made  *note
	noted *outage.Log
	// making is taken while what NATS lacks is made.
	making *semaphore.Weighted
	telling
}

// New returns u ready to run, with what an earlier process owes.
func New(u Upkeep) *Upkeep {
	u.wake, u.youth, u.made = make(chan struct{}, 1), youth, &note{path: u.OwedFile}
	u.making = semaphore.NewWeighted(1)
	u.noted = &outage.Log{Logger: u.Logger, What: "the note of what was lost"}
	left, err := u.made.recall()
	u.noting(err)
	u.untold = left
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

// EnsureBroker makes the streams and buckets in NATS that are missing, for one who
// cannot wait for the next pass: that tells what had been lost.
func (u *Upkeep) EnsureBroker(ctx context.Context) error {
	made, err := u.makeMissing(ctx)
	if made {
		u.Wake()
	}
	return err
}

// Lost tells of something in NATS that is there and lacks what it had.
func (u *Upkeep) Lost(what string) {
	u.noting(u.made.addEarly([]string{what}))
	u.Wake()
}

func (u *Upkeep) ensureBroker(ctx context.Context) ([]string, error) {
	_, err := u.makeMissing(ctx)
	return u.made.takeEarly(), err
}

// makeMissing makes what NATS lacks and hands it to the next pass, or to the one that
// asks. One at a time: of two at once each would count what both have made.
func (u *Upkeep) makeMissing(ctx context.Context) (made bool, err error) {
	if err := u.making.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer u.making.Release(1)
	created, err := broker.Ensure(ctx, u.JetStream, u.Broker)
	if len(created) > 0 {
		u.noting(u.made.addEarly(created))
	}
	return len(created) > 0, err
}

// noting tells how it goes with the note.
func (u *Upkeep) noting(err error) {
	if err != nil {
		u.noted.Failed(err)
	} else {
		u.noted.OK()
	}
}

// Run looks after everything at once and then each part in its interval, until
// ctx ends. Failures are logged when they change and tried again within seconds.
func (u *Upkeep) Run(ctx context.Context) {
	parts := u.parts()
	u.state = &outage.Log{Logger: u.Logger, What: "what follows a loss of data"}
	defer u.hangUp()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		u.pass(ctx, parts)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-u.wake:
			lookNow(parts)
		}
	}
}

func (u *Upkeep) parts() []*part {
	parts := []*part{
		{
			what:   "upkeep of NATS streams and buckets",
			every:  lookEvery,
			ensure: u.ensureBroker,
			oldest: func(ctx context.Context) (time.Time, error) { return broker.Oldest(ctx, u.JetStream, u.Broker) },
		},
		{
			// One cheap question, at each pass: where Temporal has lost its data, it
			// has lost these, and the schedules after them are looked at too.
			what: "upkeep of Temporal search attributes",
			ensure: func(ctx context.Context) ([]string, error) {
				return temporal.EnsureSearchAttributes(ctx, u.Temporal, u.Namespace, attributes)
			},
		},
		{
			what:  "upkeep of Temporal schedules",
			every: lookEvery,
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
		{
			what:  "pruning of the guard's holds",
			every: pruneEvery,
			ensure: func(ctx context.Context) ([]string, error) {
				return nil, broker.PruneMarkers(ctx, u.JetStream, broker.BucketHeld, pruneAge)
			},
		},
	}
	if u.Resume != nil {
		parts = append(parts, &part{what: "upkeep of the guard's holds", every: lookEvery, ensure: u.resumeHolds})
	}
	for _, p := range parts {
		p.log, p.state = u.Logger, outage.Log{Logger: u.Logger, What: p.what}
		p.note = func(made []string) { u.noting(u.made.add(made)) }
	}
	return parts
}

// pass looks after every part once and tells what had to be made again.
func (u *Upkeep) pass(ctx context.Context, parts []*part) {
	var again []string
	for i, p := range parts {
		lost := p.look(ctx, u.youth)
		if len(lost) > 0 {
			lookNow(parts[i+1:]) // more will be missing
		}
		again = append(again, lost...)
	}
	again = append(again, firstMade(parts)...)
	if ctx.Err() != nil {
		return
	}
	if len(again) > 0 {
		slices.Sort(again)
		u.Logger.Warn("made again what had been lost", "what", again)
	}
	u.tell(ctx, again, u.OnRecreated)
	u.settle(parts)
}

// settle empties the note where nothing is to be told any more, and nothing was made of
// which it is not known yet whether it had been lost.
func (u *Upkeep) settle(parts []*part) {
	undecided := slices.ContainsFunc(parts, func(p *part) bool { return len(p.made) > 0 })
	u.noting(u.made.settle(u.pending() || undecided))
}

// lookNow has parts looked at in this pass, whatever their interval.
func lookNow(parts []*part) {
	for _, p := range parts {
		p.next = time.Time{}
	}
}
