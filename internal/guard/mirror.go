package guard

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// watchFor is how long one watch of the bucket stands. A fresh one lists it
	// anew, so that whatever a watch missed (a bucket made again) is mended.
	watchFor = 15 * time.Second
	// watchRetry paces the attempts while NATS is away.
	watchRetry = time.Second
)

// Mirror knows in memory which zones are held, so that an export of a zone that
// is not, which is nearly every one, need not ask. Make it with [NewMirror].
type Mirror struct {
	store *Store
	state outage.Log

	mu    sync.Mutex
	known bool
	held  map[string]pdns.HeldChange
}

// NewMirror returns a mirror that knows nothing until [Mirror.Run] runs.
func NewMirror(store *Store, log *slog.Logger) *Mirror {
	return &Mirror{store: store, state: outage.Log{Logger: log, What: "watching the held changes"}}
}

// MayHold reports whether a change of the zone may be held: a hint. True where it
// is not known; what was noted moments ago by another primary may be missing.
func (m *Mirror) MayHold(zone string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, held := m.held[zone]
	return held || !m.known
}

// Run follows the bucket until ctx ends.
func (m *Mirror) Run(ctx context.Context) {
	for ctx.Err() == nil {
		err := m.watch(ctx)
		if err == nil || ctx.Err() != nil {
			continue
		}
		m.state.Failed(broker.Explain(err))
		m.mu.Lock()
		m.known = false
		m.mu.Unlock()
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
}

// watch lists the bucket and follows it for a while.
func (m *Mirror) watch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, watchFor)
	defer cancel()
	kv, err := m.store.bucket(ctx, broker.BucketHeld)
	if err != nil {
		return err
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }()
	fresh, complete := make(map[string]pdns.HeldChange), false
	for {
		select {
		case <-ctx.Done():
			if !complete {
				return errors.New("NATS did not list the bucket in time")
			}
			return nil
		case entry, open := <-watch.Updates():
			if !open {
				return errors.New("the watch ended")
			}
			if entry == nil {
				complete = true
				m.state.OK()
			} else {
				note(fresh, entry)
			}
			if complete {
				m.take(fresh)
			}
		}
	}
}

func note(held map[string]pdns.HeldChange, entry jetstream.KeyValueEntry) {
	zone, err := pdns.ZoneFromKey(entry.Key())
	if err != nil {
		return
	}
	delete(held, zone)
	if entry.Operation() != jetstream.KeyValuePut {
		return
	}
	// What cannot be read counts as held: who asks for it is told what is wrong.
	h, _ := decode(entry.Key(), entry.Value())
	held[zone] = h
}

func (m *Mirror) take(held map[string]pdns.HeldChange) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held, m.known = maps.Clone(held), true
}

var heldChanges = prometheus.NewDesc("pdnsdist_held_changes",
	"Changes that the guard holds, by kind (delete, shrink) and by what was decided about them (undecided, approved, rejected).",
	[]string{"kind", "decision"}, nil)

// Describe implements [prometheus.Collector].
func (m *Mirror) Describe(descs chan<- *prometheus.Desc) { descs <- heldChanges }

// Collect implements [prometheus.Collector]: nothing while the bucket cannot be
// watched, since 0 would say that all is well.
func (m *Mirror) Collect(metrics chan<- prometheus.Metric) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.known {
		return
	}
	type label struct {
		kind     pdns.HeldKind
		decision pdns.Decision
	}
	counts := make(map[label]int)
	for _, h := range m.held {
		counts[label{h.Kind, h.Decision}]++
	}
	for _, kind := range []pdns.HeldKind{pdns.HeldDelete, pdns.HeldShrink} {
		for _, decision := range []pdns.Decision{pdns.Undecided, pdns.Approved, pdns.Rejected} {
			name := string(decision)
			if decision == pdns.Undecided {
				name = "undecided"
			}
			metrics <- prometheus.MustNewConstMetric(heldChanges, prometheus.GaugeValue, float64(counts[label{kind, decision}]), string(kind), name)
		}
	}
}
