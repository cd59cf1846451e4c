package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// slowest is how much longer a call may take without NATS.
const slowest = 100 * time.Millisecond

// realProxy is a proxy wired to the stack's NATS as cmd/ does it.
func realProxy(t *testing.T, s *stacktest.Stack) *running {
	t.Helper()
	var once sync.Mutex
	var p *running
	cfg := brokertest.Config(s, "primary")
	cfg.OnReconnect = func() {
		once.Lock()
		defer once.Unlock()
		p.Drain()
	}
	once.Lock()
	nc, js, err := broker.Connect(t.Context(), cfg, "proxy test", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	p = start(t, testConfig(t, backend(t, answer(http.StatusNoContent)), js))
	once.Unlock()
	p.call("GET", zonePath, "") // connects
	return p
}

// storedEvents reads the stream of events.
func storedEvents(t *testing.T, js jetstream.JetStream) (events []pdns.Event, subjects []string) {
	t.Helper()
	stream, err := js.Stream(t.Context(), broker.StreamEvents)
	if err != nil {
		return nil, nil // away, or not made yet
	}
	state := stream.CachedInfo().State
	for seq := state.FirstSeq; seq <= state.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			return nil, nil
		}
		var e pdns.Event
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			t.Fatal(err)
		}
		events, subjects = append(events, e), append(subjects, msg.Subject)
	}
	return events, subjects
}

// fastChange makes a change and holds that the client did not wait for NATS. Of
// three tries the fastest counts, since other work on the machine takes time too.
func fastChange(t *testing.T, p *running, method, path string) (id string) {
	t.Helper()
	best := time.Hour
	for range 3 {
		begin := time.Now()
		res, _ := p.call(method, path, "{}")
		best = min(best, time.Since(begin))
		if res.StatusCode != http.StatusNoContent {
			t.Fatalf("answered %s", res.Status)
		}
		id = res.Header.Get(HeaderChangeID)
	}
	if best >= slowest {
		t.Errorf("the call took %s", best)
	}
	return id
}

// TestNATSAway takes NATS away in each way that it can go, and holds that
// clients notice nothing and that the event comes after its return.
func TestNATSAway(t *testing.T) {
	s := stacktest.Start(t, "nats")
	js := brokertest.Fresh(t, s)
	p := realProxy(t, s)

	id := fastChange(t, p, "DELETE", zonesPath+"/before.example.")
	eventually.True(t, "an event with NATS there", func() bool {
		events, subjects := storedEvents(t, js)
		at := slices.IndexFunc(events, func(e pdns.Event) bool { return e.ChangeID == id })
		return at >= 0 && subjects[at] == "zone.delete" && events[at].Zone == "before.example."
	})
	for _, c := range []struct {
		zone       string
		away, back func(testing.TB, string)
	}{
		{"stopped.example.", s.Stop, s.StartProc},
		{"killed.example.", s.Kill, s.StartProc},
		{"paused.example.", s.Pause, s.Resume},
	} {
		c.away(t, "nats")
		fastChange(t, p, "PATCH", zonesPath+"/"+c.zone)
		c.back(t, "nats")
		eventually.True(t, "the event of "+c.zone, func() bool {
			events, _ := storedEvents(t, js)
			return slices.ContainsFunc(events, func(e pdns.Event) bool { return e.Zone == c.zone })
		})
		p.idle()
	}
}

// TestNATSDuplicates publishes an event twice, as after a crash between its
// acknowledgement and its removal: NATS keeps it once.
func TestNATSDuplicates(t *testing.T) {
	s := stacktest.Start(t, "nats")
	js := brokertest.Fresh(t, s)
	send := publishTo(js, testSubjects, "primary-1", nil)
	i := intent{ChangeID: "id", Zone: "example.org.", Kind: pdns.ChangeAdd, CreatedAt: time.Now()}
	second := i
	second.Due = time.Now()
	for _, one := range []intent{i, i, second, second} {
		if err := send(t.Context(), one); err != nil {
			t.Fatal(err)
		}
	}
	if events, _ := storedEvents(t, js); len(events) != 2 {
		t.Errorf("%+v", events)
	}
}

// TestEventOfSlowRequest is stored although NATS has one of a request that began
// later and was answered sooner, of which only the acknowledgement was lost.
func TestEventOfSlowRequest(t *testing.T) {
	s := stacktest.Start(t, "nats")
	js := brokertest.Fresh(t, s)
	send := publishTo(js, testSubjects, "primary-1", nil)
	away := errors.New("away")
	reach := func(ctx context.Context, i intent) error { return errors.Join(send(ctx, i), away) }
	r := newTestRelay(t, func(ctx context.Context, i intent) error { return reach(ctx, i) })
	var changes [2]*pending
	for n := range changes {
		var err error
		if changes[n], err = r.begin(t.Context(), "example.org.", pdns.ChangeModify, false); err != nil {
			t.Fatal(err)
		}
	}
	slow, quick := changes[0], changes[1]
	quick.settle(true)
	r.sends.Wait()
	if events, _ := storedEvents(t, js); len(events) != 1 {
		t.Fatalf("%+v", events)
	}
	reach = func(context.Context, intent) error { return away }
	slow.settle(true)
	r.sends.Wait()
	reach = send
	if err := r.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if events, _ := storedEvents(t, js); len(events) != 2 {
		t.Errorf("%+v", events)
	}
	eventually.True(t, "the outbox to be empty", func() bool { return r.outbox.pending() == 0 })
}

// TestStreamMissing keeps the change until the stream is made.
func TestStreamMissing(t *testing.T) {
	s := stacktest.Start(t, "nats")
	js := brokertest.Fresh(t, s)
	brokertest.Empty(t, js)
	p := realProxy(t, s)
	fastChange(t, p, "PUT", zonePath)
	eventually.True(t, "a failure", func() bool { return p.metric("pdnsdist_events_published_total", "failed") > 0 })
	if _, err := broker.Ensure(t.Context(), js, brokertest.Config(s, "primary")); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the event", func() bool {
		events, _ := storedEvents(t, js)
		return slices.ContainsFunc(events, func(e pdns.Event) bool { return e.Zone == "example.org." })
	})
}
