package proxy

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// maxPublishing bounds events that wait for NATS's acknowledgement at once.
	maxPublishing = 64
	// publishTimeout bounds that wait; after it the intent stays for a drain.
	publishTimeout = 2 * time.Second
	// headStartWithin bounds the wait for what a change's head start publishes, before
	// its event, and lead is how long secondaries then have to apply that.
	headStartWithin = 100 * time.Millisecond
	lead            = 25 * time.Millisecond
	// drainInterval is how often left-over intents are tried, besides at start
	// and when NATS is back.
	drainInterval = 5 * time.Second
	// drainPage is how many left-over intents are in memory at once.
	drainPage = 1000
	// clearDelay collects intents whose removal may share a commit. Removing late
	// is harmless: NATS drops an event that it has seen (Nats-Msg-Id).
	clearDelay = 50 * time.Millisecond
	// secondLook is how long after the first event a second one follows where
	// PowerDNS may have worked on when the first was sent.
	secondLook = 30 * time.Second
	// stillWorking bounds how long PowerDNS works on a request whose client, the
	// proxy, was killed.
	stillWorking = 10 * time.Minute
)

// relay brings intents to NATS: each right after its request, and those that
// were left over from an outage or a crash in drains, one event for all that
// stand for the same zone.
type relay struct {
	outbox *outbox
	// publish sends the event of an intent and returns after NATS has stored it.
	publish func(ctx context.Context, i intent) error
	// settled, if any, is waited for before the event of a change that was taken.
	settled func(ctx context.Context, zone, changeID string) bool
	metrics *metrics
	log     *slog.Logger
	state   outage.Log
	started time.Time

	wake  chan struct{}
	slots chan struct{} // one for each event on its way
	sends sync.WaitGroup

	mu sync.Mutex
	// busy are intents that a drain must leave alone: their request is under way,
	// or their event, or their removal.
	busy    map[string]struct{}
	cleared []string
}

func newRelay(o *outbox, publish func(context.Context, intent) error, m *metrics, log *slog.Logger) *relay {
	return &relay{
		outbox:  o,
		publish: publish,
		metrics: m,
		log:     log,
		state:   outage.Log{Logger: log, What: "publishing zone events"},
		started: time.Now(),
		wake:    make(chan struct{}, 1),
		slots:   make(chan struct{}, maxPublishing),
		busy:    map[string]struct{}{},
	}
}

// pending is a change whose request is under way.
type pending struct {
	intent
	relay *relay
	once  sync.Once
}

// begin writes the intent of a change. After an error the request must not be
// forwarded to its end. The caller settles the change.
func (r *relay) begin(ctx context.Context, zone string, kind pdns.ChangeKind, later bool) (*pending, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	trace.Note(ctx, trace.Zone(zone), trace.Change(id.String()))
	i := intent{ChangeID: id.String(), Zone: zone, Kind: kind, CreatedAt: time.Now().UTC(), Later: later, Trace: trace.Header(ctx)}
	r.mu.Lock()
	r.busy[i.ChangeID] = struct{}{}
	r.mu.Unlock()
	_, ended := trace.Start(ctx, "proxy outbox")
	err = r.outbox.put(i)
	ended(err)
	if err != nil {
		r.free(i.ChangeID)
		return nil, err
	}
	return &pending{intent: i, relay: r}, nil
}

// settle says how the request ended: whether it may have changed something. The
// event goes out beside the caller. Only the first call counts.
func (p *pending) settle(changed bool) {
	p.once.Do(func() {
		if !changed {
			p.relay.clear(p.ChangeID)
			return
		}
		p.relay.metrics.changes.WithLabelValues(string(p.Kind)).Inc()
		p.relay.send(p.intent)
	})
}

// send publishes beside the caller, or leaves the intent to a drain when enough
// are under way.
func (r *relay) send(i intent) {
	select {
	case r.slots <- struct{}{}:
	default:
		r.free(i.ChangeID)
		r.drainSoon()
		return
	}
	r.sends.Go(func() {
		defer func() { <-r.slots }()
		r.awaitHeadStart(i)
		if err := r.deliver(context.Background(), []intent{i}); err != nil {
			r.state.Failed(err)
		}
	})
}

// merge returns what is published for intents of one zone, oldest first.
//
// That of several has an ID of its own. They are in the order in which their
// requests came, not in that of the answers: under the newest one's ID, whose event
// may have gone out, and its zone been exported, before another request was
// answered, NATS would drop the event, or the export be taken for done.
func merge(same []intent) (intent, error) {
	event := same[len(same)-1]
	if len(same) == 1 {
		return event, nil
	}
	id, err := uuid.NewV7()
	if err != nil {
		return intent{}, err
	}
	event.ChangeID, event.Due = id.String(), time.Time{}
	// A zone that a call deleted may go whatever else was asked of it.
	if slices.ContainsFunc(same, func(i intent) bool { return i.Kind == pdns.ChangeDelete }) {
		event.Kind = pdns.ChangeDelete
	}
	return event, nil
}

// awaitHeadStart lets the head start of a change publish first, if there is one, and the
// secondaries take that, but not for long: the event, and the workflow that it starts,
// take as much CPU time as all of that, where they share a host.
func (r *relay) awaitHeadStart(i intent) {
	if r.settled == nil || !i.taken {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), headStartWithin)
	defer cancel()
	if r.settled(ctx, i.Zone, i.ChangeID) {
		time.Sleep(lead)
	}
}

// deliver publishes one event for intents of one zone, oldest first, all busy,
// and settles what becomes of them.
func (r *relay) deliver(ctx context.Context, same []intent) error {
	event, err := merge(same)
	if err != nil {
		r.free(ids(same)...)
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	ctx, ended := trace.Start(trace.Join(ctx, event.Trace), "proxy event")
	err = r.publish(ctx, event)
	ended(err)
	if err != nil {
		r.metrics.published.WithLabelValues("failed").Inc()
		r.free(ids(same)...)
		return err
	}
	r.metrics.published.WithLabelValues("ok").Inc()
	r.state.OK()
	// The second event has the ID of an intent that needs it: one that has had its
	// own would be dropped by NATS.
	if at := slices.IndexFunc(same, r.needsSecondLook); at >= 0 {
		again := same[at]
		again.Kind, again.Due = event.Kind, time.Now().Add(secondLook).UTC()
		if err := r.outbox.put(again); err != nil {
			r.log.Error("cannot note that a zone needs a second event", "zone", again.Zone, "change_id", again.ChangeID, "error", err)
		}
		r.free(again.ChangeID)
		same = slices.Delete(same, at, at+1)
	}
	r.clear(ids(same)...)
	return nil
}

// needsSecondLook tells an intent whose change may only be made after its first
// event: PowerDNS does such requests later, or this process was killed during the
// request and PowerDNS may not have noticed yet.
func (r *relay) needsSecondLook(i intent) bool {
	killed := i.CreatedAt.Before(r.started) && r.started.Sub(i.CreatedAt) < stillWorking
	return i.Due.IsZero() && (i.Later || killed)
}

// run drains the outbox until ctx is done: at once, when woken, and now and then.
func (r *relay) run(ctx context.Context) {
	ticker := time.NewTicker(drainInterval)
	defer ticker.Stop()
	for {
		if err := r.drain(ctx); err != nil && ctx.Err() == nil {
			r.state.Failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		case <-ticker.C:
		}
	}
}

// drainSoon has the outbox drained without waiting for it.
func (r *relay) drainSoon() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// drain publishes what is left over. It stops at the first failure: then NATS
// is most likely away, and the rest waits for the next drain.
func (r *relay) drain(ctx context.Context) error {
	if r.outbox.pending() == 0 {
		return nil
	}
	for page, err := range r.outbox.pages(drainPage) {
		if err != nil {
			return err
		}
		group, ctx := errgroup.WithContext(ctx)
		group.SetLimit(maxPublishing)
		for _, same := range r.claim(page, time.Now()) {
			group.Go(func() error {
				if err := ctx.Err(); err != nil {
					r.free(ids(same)...)
					return err
				}
				return r.deliver(ctx, same)
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// claim marks what may be published now as busy, and puts together what stands
// for the same zone.
func (r *relay) claim(page []intent, now time.Time) [][]intent {
	r.mu.Lock()
	defer r.mu.Unlock()
	var groups [][]intent
	byZone := map[string]int{}
	for _, i := range page {
		if _, busy := r.busy[i.ChangeID]; busy || i.Due.After(now) {
			continue
		}
		r.busy[i.ChangeID] = struct{}{}
		if i.Zone == "" {
			r.log.Error("an entry of the outbox cannot be read and is dropped; have all zones synced with: pdns-distribute resync --all", "change_id", i.ChangeID)
			r.clearLocked(i.ChangeID)
			continue
		}
		at, found := byZone[i.Zone]
		if !found {
			at = len(groups)
			byZone[i.Zone] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], i)
	}
	return groups
}

// free gives busy intents to the next drain.
func (r *relay) free(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, id := range ids {
		delete(r.busy, id)
	}
}

// clear removes busy intents soon.
func (r *relay) clear(ids ...string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.clearLocked(ids...)
}

func (r *relay) clearLocked(ids ...string) {
	if len(ids) > 0 && len(r.cleared) == 0 {
		r.sends.Add(1)
		time.AfterFunc(clearDelay, func() {
			defer r.sends.Done()
			r.flush()
		})
	}
	r.cleared = append(r.cleared, ids...)
}

// flush removes what is to be cleared. Where that fails they stay, and a drain
// publishes them once more.
func (r *relay) flush() {
	r.mu.Lock()
	cleared := r.cleared
	r.cleared = nil
	r.mu.Unlock()
	if err := r.outbox.remove(cleared...); err != nil {
		r.log.Error("cannot remove published changes from the outbox; they will be published again", "error", err)
	}
	r.free(cleared...)
}

// close waits for events and removals under way, then closes the outbox. No
// change may begin or be settled any more.
func (r *relay) close() error {
	r.sends.Wait()
	return r.outbox.close()
}

func ids(intents []intent) []string {
	list := make([]string, len(intents))
	for n, i := range intents {
		list[n] = i.ChangeID
	}
	return list
}
