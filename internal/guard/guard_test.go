package guard_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/guard"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestGuard(t *testing.T) {
	stack := stacktest.Start(t, "nats")
	t.Run("ledger, many at once", func(t *testing.T) { ledgerAtOnce(t, brokertest.Fresh(t, stack)) })
	t.Run("life of a held change", func(t *testing.T) { life(t, guard.New(brokertest.Fresh(t, stack))) })
	t.Run("mirror", func(t *testing.T) { mirror(t, brokertest.Fresh(t, stack)) })
	t.Run("key, made by many at once", func(t *testing.T) { keyAtOnce(t, brokertest.Fresh(t, stack)) })
	t.Run("key outlives its bucket", func(t *testing.T) { keyLost(t, stack, brokertest.Fresh(t, stack)) })
	t.Run("rights", func(t *testing.T) { rights(t, stack) })
	t.Run("without NATS", func(t *testing.T) { without(t, stack) })
}

var rules = pdns.Guard{MaxAPIDeletePerMinute: 25}

// ledgerAtOnce: primaries that ask at the same time never get more than may go,
// nor less.
func ledgerAtOnce(t *testing.T, js jetstream.JetStream) {
	var mu sync.Mutex
	granted := 0
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			store := guard.New(js)
			for j := range 5 {
				reason, err := store.Amend(t.Context(), "test", func(l pdns.Ledger) (pdns.Ledger, string) {
					return rules.APIDeletes([]string{fmt.Sprintf("z%d.%d.example.", i, j)}, l, time.Now())
				})
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				if reason == "" {
					granted++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if granted != rules.MaxAPIDeletePerMinute {
		t.Errorf("%d may go, %d do", rules.MaxAPIDeletePerMinute, granted)
	}
}

func life(t *testing.T, store *guard.Store) {
	ctx := t.Context()
	change := pdns.HeldChange{Zone: "example.org.", Kind: pdns.HeldDelete, Base: 7, Since: time.Unix(1, 0).UTC()}
	later := change
	later.Since = time.Unix(2, 0).UTC()
	for i, want := range []bool{true, false} {
		noted, isNew, err := store.Hold(ctx, []pdns.HeldChange{change, later}[i])
		if err != nil || isNew != want || !noted.Since.Equal(change.Since) {
			t.Fatalf("held as %+v, new %t, %v", noted, isNew, err)
		}
	}
	if decided, err := store.Decide(ctx, later, pdns.Approved, "digest"); err != nil || !decided {
		t.Fatalf("decided %t, %v", decided, err)
	}
	if noted, _, err := store.Hold(ctx, later); err != nil || noted.Decision != pdns.Approved || noted.Decided != "digest" {
		t.Fatalf("a decision was lost: %+v, %v", noted, err)
	}
	other := change
	other.Base = 8
	if decided, err := store.Decide(ctx, other, pdns.Rejected, "digest"); err != nil || decided {
		t.Fatalf("a decision about another version counts: %t, %v", decided, err)
	}
	if err := store.Release(ctx, other); err != nil {
		t.Fatal(err)
	}
	if noted, isNew, err := store.Hold(ctx, other); err != nil || !isNew || noted.Decision != pdns.Undecided {
		t.Fatalf("another version took over the decision: %+v, %v", noted, err)
	}
	if all, err := store.All(ctx); err != nil || len(all) != 1 || all[0].Base != 8 {
		t.Fatalf("all: %+v, %v", all, err)
	}
	for range 2 {
		if err := store.Release(ctx, other); err != nil {
			t.Fatal(err)
		}
	}
	if _, known, err := store.Held(ctx, change.Zone); known || err != nil {
		t.Fatalf("released and held: %v", err)
	}
	if decided, err := store.Decide(ctx, other, pdns.Approved, "digest"); err != nil || decided {
		t.Fatalf("decided about nothing: %t, %v", decided, err)
	}
	if all, err := store.All(ctx); err != nil || len(all) != 0 {
		t.Fatalf("all: %+v, %v", all, err)
	}
}

func mirror(t *testing.T, js jetstream.JetStream) {
	store := guard.New(js)
	m := guard.NewMirror(store, slog.New(slog.NewTextHandler(io.Discard, nil)))
	registry := prometheus.NewRegistry()
	registry.MustRegister(m)
	if text, err := gathered(registry); text != "" || err != nil {
		t.Errorf("while nothing is known: %s%v", text, err)
	}
	if !m.MayHold("example.org.") {
		t.Error("what is not known counts as not held")
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { m.Run(ctx); close(ended) }()
	defer func() { cancel(); <-ended }()
	change := pdns.HeldChange{Zone: "example.org.", Kind: pdns.HeldShrink, Base: 7}
	for range 2 {
		eventually.True(t, "nothing is held", func() bool { return !m.MayHold("example.org.") })
		if _, _, err := store.Hold(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		eventually.True(t, "a change is held", func() bool { return m.MayHold("example.org.") && !m.MayHold("example.com.") })
		want := `pdnsdist_held_changes{decision="undecided",kind="shrink"} 1`
		if text, err := gathered(registry); err != nil || !strings.Contains(text, want) {
			t.Errorf("no %s in\n%s%v", want, text, err)
		}
		if err := store.Release(t.Context(), change); err != nil {
			t.Fatal(err)
		}
	}
	eventually.True(t, "nothing is held", func() bool { return !m.MayHold("example.org.") })
	if err := js.DeleteKeyValue(t.Context(), broker.BucketHeld); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "without the bucket nothing is known", func() bool { return m.MayHold("example.org.") })
}

// gathered is what a scrape shows.
func gathered(registry *prometheus.Registry) (string, error) {
	families, err := registry.Gather()
	var text strings.Builder
	for _, family := range families {
		for _, metric := range family.GetMetric() {
			var labels []string
			for _, label := range metric.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
			}
			fmt.Fprintf(&text, "%s{%s} %v\n", family.GetName(), strings.Join(labels, ","), metric.GetGauge().GetValue())
		}
	}
	return text.String(), err
}

var event = pdns.Event{Zone: "example.org.", ChangeID: "id", CreatedAt: time.Unix(1, 2)}

// proven is an event that k's primary publishes.
func proven(t *testing.T, k *guard.Key) pdns.Event {
	t.Helper()
	e := event
	var err error
	if e.Proof, err = k.Prove(t.Context(), e, pdns.ChangeDelete); err != nil {
		t.Fatal(err)
	}
	return e
}

func wantProxied(t *testing.T, k *guard.Key, e pdns.Event, want pdns.Proxied) {
	t.Helper()
	if got, err := k.Proven(t.Context(), e); got != want || err != nil {
		t.Errorf("proven as %q, %v; want %q", got, err, want)
	}
}

func keyAtOnce(t *testing.T, js jetstream.JetStream) {
	events := make([]pdns.Event, 8)
	var group sync.WaitGroup
	for i := range events {
		group.Go(func() { events[i] = proven(t, guard.NewKey(guard.New(js))) })
	}
	group.Wait()
	judge := guard.NewKey(guard.New(js))
	for _, e := range events {
		wantProxied(t, judge, e, pdns.ProxiedDelete)
	}
	wantProxied(t, judge, event, pdns.NotProxied)
	forged := event
	forged.Proof = event.Prove(pdns.ChangeDelete, []byte("guessed"))
	wantProxied(t, judge, forged, pdns.NotProxied)
}

// keyLost: what was published before the bucket was lost stays proven, to whoever
// knew the key; and a primary that did not learns it again.
func keyLost(t *testing.T, stack *stacktest.Stack, js jetstream.JetStream) {
	old := guard.NewKey(guard.New(js))
	before := proven(t, old)
	if err := js.DeleteKeyValue(t.Context(), broker.BucketGuard); err != nil {
		t.Fatal(err)
	}
	if _, err := guard.NewKey(guard.New(js)).Proven(t.Context(), before); err == nil {
		t.Error("without the key it is known what the proof is worth")
	}
	wantProxied(t, old, before, pdns.ProxiedDelete)
	if _, err := broker.Ensure(t.Context(), js, brokertest.Config(stack, "primary")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan struct{})
	go func() { old.Run(ctx); close(cancelled) }()
	eventually.True(t, "the key is put back", func() bool {
		kv, err := js.KeyValue(t.Context(), broker.BucketGuard)
		if err != nil {
			return false
		}
		_, err = kv.Get(t.Context(), "proof-key")
		return err == nil
	})
	cancel()
	<-cancelled
	fresh := guard.NewKey(guard.New(js))
	wantProxied(t, fresh, before, pdns.ProxiedDelete)

	// One that made a key of its own meanwhile learns the other one.
	kv, err := js.KeyValue(t.Context(), broker.BucketGuard)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), "proof-key"); err != nil {
		t.Fatal(err)
	}
	other := proven(t, guard.NewKey(guard.New(js)))
	eventually.True(t, "the new key is looked up", func() bool {
		proxied, err := fresh.Proven(t.Context(), other)
		return err == nil && proxied == pdns.ProxiedDelete
	})
	wantProxied(t, fresh, before, pdns.ProxiedDelete)
}

// rights: other programs and secondaries can read neither the key nor the ledger,
// nor write an approval.
func rights(t *testing.T, stack *stacktest.Stack) {
	brokertest.Fresh(t, stack)
	for _, role := range []string{"program", "secondary-1"} {
		_, js := brokertest.Connect(t, stack, role)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		if kv, err := js.KeyValue(ctx, broker.BucketGuard); err == nil {
			if entry, err := kv.Get(ctx, "proof-key"); err == nil {
				t.Errorf("%s reads %q", role, entry.Value())
			}
		}
		cancel()
		ctx, cancel = context.WithTimeout(t.Context(), 2*time.Second)
		if _, err := js.Publish(ctx, "$KV."+broker.BucketHeld+".example.org", []byte("{}")); err == nil {
			t.Errorf("%s writes what is held", role)
		}
		cancel()
	}
	_, js := brokertest.Connect(t, stack, "program")
	if _, err := js.Publish(t.Context(), "zone.delete", []byte(`{"zone":"example.org."}`)); err != nil {
		t.Errorf("a program publishes an event: %v", err)
	}
}

func without(t *testing.T, stack *stacktest.Stack) {
	store := guard.New(brokertest.Fresh(t, stack))
	known := guard.NewKey(store)
	e := proven(t, known)
	stack.Stop(t, "nats")
	defer stack.StartProc(t, "nats")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	_, amend := store.Amend(ctx, "test", func(l pdns.Ledger) (pdns.Ledger, string) { return l, "" })
	_, _, held := store.Held(ctx, "example.org.")
	_, _, hold := store.Hold(ctx, pdns.HeldChange{Zone: "example.org."})
	_, decide := store.Decide(ctx, pdns.HeldChange{Zone: "example.org."}, pdns.Approved, "")
	_, all := store.All(ctx)
	_, key := guard.NewKey(store).Prove(ctx, event, pdns.ChangeDelete)
	for name, err := range map[string]error{"amend": amend, "held": held, "hold": hold, "decide": decide, "all": all, "key": key} {
		if err == nil || errors.Is(err, jetstream.ErrKeyNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantProxied(t, known, e, pdns.ProxiedDelete)
}
