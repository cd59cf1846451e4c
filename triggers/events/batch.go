package events

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// batchWait is how long the first event of a batch waits for others.
	batchWait = 300 * time.Millisecond
	// backlogWait is that while one batch follows the other: a batch costs Temporal
	// about as much as a sync of one zone, however many zones are in it.
	backlogWait = 1500 * time.Millisecond
	// backlogEnds is how long after a batch the next one counts as a first, and
	// zones get syncs of their own again.
	backlogEnds = 3 * time.Second
)

// batches gathers events that come faster than syncs of their own can be
// started, one batch for each sort.
type batches struct {
	dispatcher Dispatcher
	mu         sync.Mutex
	open       map[sort]*batch
	sent       time.Time // when the last one went out
}

// sort is what all events of a batch have in common: the primary that took the
// changes, whether it surely did, and what API calls asked for.
type sort struct {
	primary string
	taken   bool
	proxied pdns.Proxied
}

// batch is what goes into one SyncZones.
type batch struct {
	// zones are those in it, each with the IDs of the changes that ask for it.
	zones map[string][]string
	// unnamed are zones that an event without an ID asks for too.
	unnamed map[string]bool
	// events name the events in it: the batch's own name stands for all.
	events []string
	done   chan struct{}
	err    error
}

func newBatches(d Dispatcher) *batches {
	return &batches{dispatcher: d, open: make(map[sort]*batch)}
}

// add puts one event, of the change with this ID if it has one, into a batch and
// returns what Temporal said of the batch.
func (b *batches) add(ctx context.Context, zone, change string, of sort, event string) error {
	b.mu.Lock()
	current := b.open[of]
	if current == nil {
		current = &batch{zones: make(map[string][]string), unnamed: make(map[string]bool), done: make(chan struct{})}
		b.open[of] = current
		wait := b.wait(time.Now())
		time.AfterFunc(wait, func() { b.send(context.WithoutCancel(ctx), of, current, handleTimeout-wait) })
	}
	current.zones[zone] = append(current.zones[zone], change)
	current.unnamed[zone] = current.unnamed[zone] || change == ""
	current.events = append(current.events, event)
	full := len(current.zones) == workflows.MaxBatch
	if full {
		b.close(of)
	}
	b.mu.Unlock()
	if full {
		b.dispatch(ctx, of, current)
	}
	select {
	case <-current.done:
		return current.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// wait is how long a batch that is begun at now is open.
func (b *batches) wait(now time.Time) time.Duration {
	if now.Sub(b.sent) < backlogEnds {
		return backlogWait
	}
	return batchWait
}

// close ends the taking of a batch.
func (b *batches) close(of sort) {
	delete(b.open, of)
	b.sent = time.Now()
}

// send dispatches a batch whose time is up, unless it was full before.
func (b *batches) send(ctx context.Context, of sort, current *batch, within time.Duration) {
	b.mu.Lock()
	mine := b.open[of] == current
	if mine {
		b.close(of)
	}
	b.mu.Unlock()
	if mine {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		b.dispatch(ctx, of, current)
	}
}

// dispatch hands a batch, to which nothing is added any more, to Temporal.
func (b *batches) dispatch(ctx context.Context, of sort, current *batch) {
	zones := make([]string, 0, len(current.zones))
	for zone := range current.zones {
		zones = append(zones, zone)
	}
	slices.Sort(zones)
	current.err = b.dispatcher.SyncZones(ctx, current.name(), workflows.SyncZonesInput{
		Zones: zones, Changes: current.changes(), Trigger: workflows.TriggerEvent, Primary: of.primary, Taken: of.taken, Proxied: of.proxied,
	})
	close(current.done)
}

// changes are the IDs of the changes of each zone that nothing else asks for.
func (b *batch) changes() map[string][]string {
	named := make(map[string][]string, len(b.zones))
	for zone, ids := range b.zones {
		if !b.unnamed[zone] {
			named[zone] = ids
		}
	}
	return named
}

// name is the same for the same events, and for no others.
func (b *batch) name() string {
	slices.Sort(b.events)
	sum := sha256.New()
	for _, event := range b.events {
		sum.Write([]byte(event))
		sum.Write([]byte{0})
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
