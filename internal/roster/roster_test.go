package roster_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestRoster(t *testing.T) {
	stack := stacktest.Start(t, "nats")
	t.Run("life of an entry", func(t *testing.T) { life(t, brokertest.Fresh(t, stack)) })
	t.Run("changed by two at once", func(t *testing.T) { atOnce(t, brokertest.Fresh(t, stack)) })
	t.Run("nothing is told from unknown", func(t *testing.T) { unknown(t, brokertest.Fresh(t, stack)) })
	t.Run("a secondary's rights", func(t *testing.T) {
		brokertest.Fresh(t, stack)
		_, js := brokertest.Connect(t, stack, "secondary-1")
		r := roster.New(js)
		if err := r.Join(t.Context(), pdns.Secondary{ID: "secondary-1", DNSAddress: "192.0.2.1:53"}); err != nil {
			t.Error(err)
		}
		if list, err := r.List(t.Context()); err != nil || len(list) != 1 {
			t.Errorf("listed %v, %v", list, err)
		}
	})
	t.Run("followed", func(t *testing.T) { followed(t, brokertest.Fresh(t, stack)) })
	t.Run("without NATS", func(t *testing.T) {
		r := roster.New(brokertest.Fresh(t, stack))
		stack.Stop(t, "nats")
		defer stack.StartProc(t, "nats")
		if list, err := r.List(t.Context()); err == nil {
			t.Errorf("listed %v", list)
		}
		if err := r.Join(t.Context(), pdns.Secondary{ID: "a"}); err == nil {
			t.Error("joined")
		}
	})
}

func life(t *testing.T, js jetstream.JetStream) {
	r, ctx := roster.New(js), t.Context()
	if list, err := r.List(ctx); err != nil || len(list) != 0 {
		t.Errorf("an empty roster: %v, %v", list, err)
	}
	joined := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	b := pdns.Secondary{ID: "b", DNSAddress: "192.0.2.2:53", JoinedAt: joined}
	for _, s := range []pdns.Secondary{b, {ID: "a", DNSAddress: "192.0.2.1:53"}, b} {
		if err := r.Join(ctx, s); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Pause(ctx, "b", true); err != nil {
		t.Fatal(err)
	}
	if err := r.Join(ctx, pdns.Secondary{ID: "b", DNSAddress: "192.0.2.22:53", JoinedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	want := pdns.Secondary{ID: "b", DNSAddress: "192.0.2.22:53", JoinedAt: joined, Paused: true}
	if got, err := r.Get(ctx, "b"); err != nil || got != want {
		t.Errorf("b is %+v, %v; want %+v", got, err, want)
	}
	if err := r.Idle(ctx, "b"); err != nil {
		t.Fatal(err)
	}
	if got, err := r.Get(ctx, "b"); err != nil || !got.Idle {
		t.Errorf("paused and idle: %+v, %v", got, err)
	}
	for _, paused := range []bool{false, true} { // what was idle once need not be at the next pause
		if err := r.Pause(ctx, "b", paused); err != nil {
			t.Fatal(err)
		}
	}
	list, err := r.List(ctx)
	if err != nil || len(list) != 2 || list[0].ID != "a" || list[0].JoinedAt.IsZero() || list[1] != want {
		t.Errorf("listed %+v, %v", list, err)
	}
	for range 2 {
		if err := r.Remove(ctx, "a"); err != nil {
			t.Error(err)
		}
	}
	if _, err := r.Get(ctx, "a"); !errors.Is(err, roster.ErrUnknown) {
		t.Errorf("a removed one: %v", err)
	}
	if err := r.Pause(ctx, "a", true); !errors.Is(err, roster.ErrUnknown) {
		t.Errorf("set of a removed one: %v", err)
	}
	if err := r.Join(ctx, pdns.Secondary{ID: "a", DNSAddress: "192.0.2.1:53"}); err != nil {
		t.Errorf("joining again: %v", err)
	}
}

func atOnce(t *testing.T, js jetstream.JetStream) {
	r := roster.New(js)
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			if err := r.Join(t.Context(), pdns.Secondary{ID: "same", DNSAddress: fmt.Sprintf("192.0.2.%d:53", i)}); err != nil {
				t.Error(err)
			}
			if err := r.Join(t.Context(), pdns.Secondary{ID: fmt.Sprintf("own-%d", i)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	list, err := r.List(t.Context())
	var ids []string
	for _, s := range list {
		ids = append(ids, s.ID)
	}
	if want := []string{"own-0", "own-1", "own-2", "own-3", "same"}; err != nil || !slices.Equal(ids, want) {
		t.Errorf("listed %v, %v; want %v", ids, err, want)
	}
}

func unknown(t *testing.T, js jetstream.JetStream) {
	r := roster.New(js)
	kv, err := js.KeyValue(t.Context(), broker.BucketSecondaries)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "odd", "not JSON"); err != nil {
		t.Fatal(err)
	}
	if list, err := r.List(t.Context()); err == nil || !strings.Contains(err.Error(), "nats kv del pdns-secondaries odd") {
		t.Errorf("with a foreign entry: %v, %v", list, err)
	}
	if err := js.DeleteKeyValue(t.Context(), broker.BucketSecondaries); err != nil {
		t.Fatal(err)
	}
	if list, err := r.List(t.Context()); err == nil {
		t.Errorf("without the bucket: %v", list)
	}
	if _, err := r.Get(t.Context(), "a"); err == nil || errors.Is(err, roster.ErrUnknown) {
		t.Errorf("without the bucket: %v", err)
	}
}

// followed: whoever follows an entry hears what becomes of it.
func followed(t *testing.T, js jetstream.JetStream) {
	r := roster.New(js)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	heard := make(chan pdns.Secondary, 100)
	go r.Follow(ctx, "a", slog.New(slog.DiscardHandler), func(s pdns.Secondary) { heard <- s })
	wait := func(what string, want func(pdns.Secondary) bool) {
		t.Helper()
		deadline := time.After(time.Minute)
		for {
			select {
			case s := <-heard:
				if want(s) {
					return
				}
			case <-deadline:
				t.Fatal("not told: " + what)
			}
		}
	}
	wait("there is none", func(s pdns.Secondary) bool { return s.ID == "" })
	for _, err := range []error{r.Join(ctx, pdns.Secondary{ID: "a"}), r.Join(ctx, pdns.Secondary{ID: "b"}), r.Pause(ctx, "a", true)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wait("it is paused", func(s pdns.Secondary) bool { return s.ID == "a" && s.Paused })
	if err := r.Remove(ctx, "a"); err != nil {
		t.Fatal(err)
	}
	wait("it is forgotten", func(s pdns.Secondary) bool { return s.ID == "" })
	if err := js.DeleteKeyValue(ctx, broker.BucketSecondaries); err != nil {
		t.Fatal(err)
	}
}
