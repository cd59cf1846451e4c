package events

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// TestEventsReachDispatcher from all subjects, with their hints.
func TestEventsReachDispatcher(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	d := &recorder{}
	r := start(t, js, d)
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, subject := range broker.DefaultSubjects {
		data, err := json.Marshal(pdns.Event{Zone: "EXAMPLE.Org", CreatedAt: at, ChangeID: subject, Primary: "primary-2", Taken: true, Proof: map[bool]string{true: "ours"}[subject == "zone.delete"], RRsets: []pdns.RRsetName{{Name: "a.", Type: "A"}}})
		if err != nil {
			t.Fatal(err)
		}
		publish(t, js, subject, data)
	}
	// What other programs may send.
	publish(t, js, "zone.modified", []byte(`{"zone":"plain.example"}`))
	publish(t, js, "zone.modified", []byte(`{"zone":"odd.example.","unknown":[1],"change_id":"`+strings.Repeat("x", 5000)+`","primary":"`+strings.Repeat("p", 5000)+`"}`))
	empties(t, js)
	if d.count("example.org.") != 3 || d.count("plain.example.") != 1 || d.total() != 5 || r.count("accepted") != 5 {
		t.Errorf("%v, accepted %v", d.calls, r.count("accepted"))
	}
	for n, in := range d.inputs {
		change := d.changes[n]
		if in.Trigger != workflows.TriggerEvent || change.Trigger != workflows.TriggerEvent || in.Primary != change.Primary {
			t.Errorf("%+v, %+v", in, change)
		}
		switch in.Zone {
		case "example.org.":
			proven := change.ChangeID == "zone.delete"
			if in.Primary != "primary-2" || change.Taken != proven || (change.Proxied == pdns.ProxiedDelete) != proven || !change.CreatedAt.Equal(at) || !strings.HasPrefix(change.ChangeID, "zone.") {
				t.Errorf("%+v, %+v", in, change)
			}
		case "odd.example.":
			if in.Primary != "" || change.ChangeID != "" {
				t.Errorf("hints of %d and %d octets", len(in.Primary), len(change.ChangeID))
			}
		}
	}
}

// TestPoison next to good events goes to the dead letters and holds up nothing.
func TestPoison(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	impossible := "impossible.example."
	d := &recorder{fault: func(_ context.Context, zone string, _ int) error {
		if zone == impossible {
			return fmt.Errorf("sync zone %s: %w", zone, dispatch.ErrImpossible)
		}
		return nil
	}}
	r := start(t, js, d)
	poison := map[string]string{
		"":                               "JSON",
		"garbage":                        "JSON",
		"\x00\xff":                       "JSON",
		`["example.org."]`:               "JSON",
		`{"zone":12}`:                    "JSON",
		`{"zone":"a.","created_at":"x"}`: "time",
		`{}`:                             `no "zone"`,
		`{"zone":""}`:                    `no "zone"`,
		`{"zone":"a..b."}`:               "empty label",
		`{"zone":"line\nbreak."}`:        "zone name",
		`{"zone":"` + strings.Repeat("a.", 200) + `"}`:    "255 octets",
		`{"zone":"` + strings.Repeat("b", 500_000) + `"}`: "63 octets",
		`{"zone":"` + impossible + `"}`:                   "can never be dispatched",
	}
	good := 0
	for data := range poison {
		publish(t, js, "zone.add", []byte(data))
		publishZone(t, js, fmt.Sprintf("good%d.example.", good))
		good++
	}
	empties(t, js)
	if n := r.count("dead"); n != float64(len(poison)) {
		t.Errorf("%v dead", n)
	}
	for n := range good {
		if zone := fmt.Sprintf("good%d.example.", n); d.count(zone) == 0 {
			t.Errorf("%s did not arrive", zone)
		}
	}
	stream, err := js.Stream(t.Context(), broker.StreamDead)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != uint64(len(poison)) {
		t.Errorf("%d dead letters", n)
	}
	for seq := stream.CachedInfo().State.FirstSeq; seq <= stream.CachedInfo().State.LastSeq; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		reason := msg.Header.Get(broker.HeaderReason)
		found := false
		for data, want := range poison {
			found = found || strings.HasPrefix(data, string(msg.Data)) && len(msg.Data) == min(len(data), maxDead) && strings.Contains(reason, want)
		}
		if !found || msg.Header.Get(broker.HeaderSubject) != "zone.add" || len(reason) > maxReason {
			t.Errorf("%q, %d octets: %v", msg.Data[:min(len(msg.Data), 50)], len(msg.Data), msg.Header)
		}
	}
}

// TestOneOfABatchIsImpossible buries that one and no other.
func TestOneOfABatchIsImpossible(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	const impossible, zones = "impossible.example.", 30
	d := &recorder{fault: func(_ context.Context, zone string, _ int) error {
		if zone == impossible {
			return fmt.Errorf("sync zone %s: %w", zone, dispatch.ErrImpossible)
		}
		return nil
	}}
	for n := range zones {
		if n == zones/2 { // the first ones, up to aloneBurst, go alone
			publishZone(t, js, impossible)
		}
		publishZone(t, js, fmt.Sprintf("good%d.example.", n))
	}
	r := start(t, js, d)
	empties(t, js)
	if d.batches == 0 {
		t.Error("there was no batch")
	}
	if n := r.count("dead"); n != 1 {
		t.Errorf("%v dead", n)
	}
	for n := range zones {
		if zone := fmt.Sprintf("good%d.example.", n); d.count(zone) == 0 {
			t.Errorf("%s did not arrive", zone)
		}
	}
}

// TestTemporalFails redelivers until Temporal takes the event, and meanwhile
// the others pass.
func TestTemporalFails(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	d := &recorder{fault: func(_ context.Context, zone string, n int) error {
		if zone == "stubborn.example." && n < 4 {
			return errors.New("unavailable")
		}
		return nil
	}}
	r := start(t, js, d)
	publishZone(t, js, "stubborn.example.")
	for n := range 20 {
		publishZone(t, js, fmt.Sprintf("z%d.example.", n))
	}
	empties(t, js)
	// An event is counted just after it is acknowledged.
	eventually.True(t, "all are counted", func() bool { return r.count("accepted") >= 21 })
	if d.count("stubborn.example.") != 4 || d.total() != 24 || r.count("retried") != 3 || r.count("accepted") != 21 {
		t.Errorf("%v, retried %v, accepted %v", d.calls, r.count("retried"), r.count("accepted"))
	}
}

// TestAnImportGoesInBatches: every zone once, with few calls of Temporal.
func TestAnImportGoesInBatches(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	d := &recorder{}
	start(t, js, d)
	const events = 3 * maxInFlight
	for n := range events {
		publishZone(t, js, fmt.Sprintf("z%d.example.", n))
	}
	empties(t, js)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.calls) != events {
		t.Errorf("%d zones of %d", len(d.calls), events)
	}
	if d.batches == 0 || d.batches > events/5 {
		t.Errorf("%d batches for %d zones", d.batches, events)
	}
}

// TestTwoPrimaries share the events; what one took and did not handle, since
// it died, the other gets.
func TestTwoPrimaries(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	_, js2 := brokertest.Connect(t, stack, "primary")
	one, two := &recorder{}, &recorder{}
	r1, r2 := start(t, js, one), start(t, js2, two)
	eventually.True(t, "both to wait for events", func() bool {
		consumer, err := js.Consumer(t.Context(), broker.StreamEvents, ConsumerName)
		return err == nil && consumer.CachedInfo().NumWaiting == 2
	})
	const events = 300
	for n := range events {
		publishZone(t, js, fmt.Sprintf("z%d.example.", n))
	}
	empties(t, js)
	if one.total()+two.total() != events || one.total() == 0 || two.total() == 0 {
		t.Errorf("%d and %d calls", one.total(), two.total())
	}
	// A third dies with events in its hands.
	r1.stop()
	consumer, err := js.Consumer(t.Context(), broker.StreamEvents, ConsumerName)
	if err != nil {
		t.Fatal(err)
	}
	r2.stop()
	for n := range 5 {
		publishZone(t, js, fmt.Sprintf("orphan%d.example.", n))
	}
	batch, err := consumer.Fetch(5)
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for range batch.Messages() {
		taken++
	}
	three := &recorder{}
	start(t, js, three)
	empties(t, js)
	if taken != 5 || three.total() != 5 {
		t.Errorf("of %d taken %d came again", taken, three.total())
	}
}

// TestRemoved takes stream or consumer away while it runs.
func TestRemoved(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	d := &recorder{}
	start(t, js, d)
	publishZone(t, js, "before.example.")
	empties(t, js)
	for name, remove := range map[string]func() error{
		"consumer": func() error { return js.DeleteConsumer(t.Context(), broker.StreamEvents, ConsumerName) },
		"stream":   func() error { return js.DeleteStream(t.Context(), broker.StreamEvents) },
		"all":      func() error { brokertest.Empty(t, js); return nil },
	} {
		if err := remove(); err != nil {
			t.Fatal(err)
		}
		zone := name + ".example."
		eventually.True(t, "the stream to be there", func() bool {
			data, _ := json.Marshal(pdns.Event{Zone: zone}) // a struct of strings
			_, err := js.Publish(t.Context(), "zone.modified", data)
			return err == nil
		})
		eventually.True(t, "the event after removing "+name, func() bool { return d.count(zone) > 0 })
	}
}

// TestDeadLettersMissing gives hopeless events back until they can be put away.
func TestDeadLettersMissing(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	if err := js.DeleteStream(t.Context(), broker.StreamDead); err != nil {
		t.Fatal(err)
	}
	d := &recorder{}
	r := start(t, js, d)
	publish(t, js, "zone.add", []byte("garbage"))
	publishZone(t, js, "good.example.")
	eventually.True(t, "the good event, and the other given back", func() bool {
		return d.count("good.example.") == 1 && r.count("retried") > 0
	})
	if err := ensure(t.Context(), js); err != nil {
		t.Fatal(err)
	}
	empties(t, js)
	if n := left(t, js, broker.StreamDead); n != 1 {
		t.Errorf("%d dead letters", n)
	}
}

// TestNATSAway: events that were in NATS, and those after, are handled.
func TestNATSAway(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	d := &recorder{}
	start(t, js, d)
	for name, c := range map[string][2]func(testing.TB, string){
		"stopped": {stack.Stop, stack.StartProc},
		"killed":  {stack.Kill, stack.StartProc},
		"paused":  {stack.Pause, stack.Resume},
	} {
		c[0](t, "nats")
		c[1](t, "nats")
		eventually.True(t, "NATS to take an event after it was "+name, func() bool {
			_, err := js.Publish(t.Context(), "zone.add", []byte(`{"zone":"`+name+`.example."}`))
			return err == nil
		})
		eventually.True(t, "the event after NATS was "+name, func() bool { return d.count(name+".example.") > 0 })
	}
}

// TestTemporalIsLate: an event is not delivered again while a Temporal that is overwhelmed has not answered.
func TestTemporalIsLate(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	late := ackWait + keepEvery
	d := &recorder{fault: func(ctx context.Context, _ string, _ int) error {
		select {
		case <-time.After(late):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	r := start(t, js, d)
	publishZone(t, js, "example.org.")
	empties(t, js)
	if r.stop(); d.total() != 1 || r.count("accepted") != 1 {
		t.Errorf("asked %d times, accepted %v", d.total(), r.count("accepted"))
	}
}

// TestStopsInOrder lets what is under way end, and leaves the rest to others.
func TestStopsInOrder(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	entered, release := make(chan struct{}), make(chan struct{})
	d := &recorder{fault: func(ctx context.Context, _ string, _ int) error {
		close(entered)
		<-release
		return ctx.Err()
	}}
	r := start(t, js, d)
	publishZone(t, js, "example.org.")
	<-entered
	stopped := make(chan struct{})
	go func() {
		r.stop()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("stopped while an event was under way")
	default:
	}
	close(release)
	<-stopped
	if r.count("accepted") != 1 {
		t.Errorf("accepted %v", r.count("accepted"))
	}
	empties(t, js)
}

func TestDelay(t *testing.T) {
	for n, want := range map[uint64]time.Duration{
		1: 200 * time.Millisecond, 2: 400 * time.Millisecond, 5: 3200 * time.Millisecond, 6: 5 * time.Second, 1e9: 5 * time.Second, 0: 5 * time.Second,
	} {
		if got := delay(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}

func TestHeaderValue(t *testing.T) {
	header := nats.Header{}
	for in, want := range map[string]string{
		"plain": "plain", " a\r\nX: b ": "a  X: b", "\x00\xff": "\uFFFD", strings.Repeat("é", 600): strings.Repeat("é", 500),
	} {
		header.Set("k", headerValue(in))
		if got := header.Get("k"); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}
