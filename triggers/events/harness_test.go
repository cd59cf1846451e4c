package events

import (
	"context"
	"encoding/json"
	"log/slog"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// stack is a real NATS and Temporal for the tests of this package.
var stack *stacktest.Stack

func TestMain(m *testing.M) { stacktest.Main(m, &stack, "nats", "temporal") }

// recorder is a Temporal whose faults a test chooses.
type recorder struct {
	mu      sync.Mutex
	calls   map[string]int // by zone
	batches int
	changes []workflows.ZoneChange
	inputs  []workflows.SyncZoneInput
	// fault decides over the n-th call for a zone, from 1; nil: all succeed.
	fault func(ctx context.Context, zone string, n int) error
}

func (r *recorder) SyncZone(ctx context.Context, in workflows.SyncZoneInput, change workflows.ZoneChange) error {
	r.mu.Lock()
	if r.calls == nil {
		r.calls = map[string]int{}
	}
	r.calls[in.Zone]++
	n, fault := r.calls[in.Zone], r.fault
	r.inputs, r.changes = append(r.inputs, in), append(r.changes, change)
	r.mu.Unlock()
	if fault == nil {
		return nil
	}
	return fault(ctx, in.Zone, n)
}

// SyncZones is SyncZone for each zone; the first fault is that of the batch.
func (r *recorder) SyncZones(ctx context.Context, _ string, in workflows.SyncZonesInput) error {
	r.mu.Lock()
	r.batches++
	r.mu.Unlock()
	for _, zone := range in.Zones {
		err := r.SyncZone(ctx, workflows.SyncZoneInput{Zone: zone, Trigger: in.Trigger, Primary: in.Primary},
			workflows.ZoneChange{Trigger: in.Trigger, Primary: in.Primary})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *recorder) count(zone string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls[zone]
}

func (r *recorder) total() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.inputs)
}

// running is a consumer that runs until its test ends or stop is called.
type running struct {
	t       *testing.T
	metrics *prometheus.Registry
	stop    func()
}

func start(t *testing.T, js jetstream.JetStream, d Dispatcher) *running {
	t.Helper()
	r := &running{t: t, metrics: prometheus.NewRegistry()}
	c, err := New(Config{
		JetStream: js, Dispatcher: d, Registerer: r.metrics, Log: slog.New(slog.DiscardHandler),
		Ensure: func(ctx context.Context) error { return ensure(ctx, js) },
		Proven: func(_ context.Context, event pdns.Event) (pdns.Proxied, error) {
			return map[string]pdns.Proxied{"ours": pdns.ProxiedDelete}[event.Proof], nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	return r
}

func ensure(ctx context.Context, js jetstream.JetStream) error {
	_, err := broker.Ensure(ctx, js, brokertest.Config(stack, "primary"))
	return err
}

// count is the counter of events with this result.
func (r *running) count(result string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == "pdnsdist_events_total" && m.GetLabel()[0].GetValue() == result {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func publish(t *testing.T, js jetstream.JetStream, subject string, data []byte) {
	t.Helper()
	if _, err := js.Publish(t.Context(), subject, data); err != nil {
		t.Fatal(err)
	}
}

func publishZone(t *testing.T, js jetstream.JetStream, zone string) {
	t.Helper()
	data, err := json.Marshal(pdns.Event{Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, js, "zone.modified", data)
}

// left is how many messages a stream holds; -1 when it cannot be asked.
func left(t *testing.T, js jetstream.JetStream, stream string) int {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		return -1
	}
	return int(s.CachedInfo().State.Msgs)
}

func empties(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	eventually.True(t, "the stream of events to be empty", func() bool { return left(t, js, broker.StreamEvents) == 0 })
}
