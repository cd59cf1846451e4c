package guard

import (
	"context"
	"log/slog"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
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
	begin := func() broker.Reading { return &reading{mirror: m, held: make(map[string]pdns.HeldChange)} }
	broker.Watch(ctx, m.store.js, broker.BucketHeld, jetstream.AllKeys, begin, func(err error) {
		m.state.Failed(err)
		m.mu.Lock()
		defer m.mu.Unlock()
		m.known = false
	})
}

// reading is what one watch of the bucket has read so far. The mirror's lock guards it:
// it is what the mirror knows, once all was read.
type reading struct {
	mirror *Mirror
	held   map[string]pdns.HeldChange
}

// Note implements [broker.Reading].
func (r *reading) Note(entry jetstream.KeyValueEntry) error {
	zone, err := pdns.ZoneFromKey(entry.Key())
	if err != nil {
		return nil // it is of no zone
	}
	r.mirror.mu.Lock()
	defer r.mirror.mu.Unlock()
	delete(r.held, zone)
	if entry.Operation() == jetstream.KeyValuePut {
		// What cannot be read counts as held: who asks for it is told what is wrong.
		r.held[zone], _ = decode(entry.Key(), entry.Value())
	}
	return nil
}

// Settled implements [broker.Reading].
func (r *reading) Settled() {
	m := r.mirror
	m.state.OK()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held, m.known = r.held, true
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
