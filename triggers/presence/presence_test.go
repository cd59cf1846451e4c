package presence

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// sighting is one report of the watch, at a time after the start.
type sighting struct {
	after time.Duration
	id    string
	up    bool
}

// script is a watch that reports what it is told to.
type script []sighting

func (s script) Watch(ctx context.Context, service string, report func(id string, up bool)) {
	began := time.Now()
	for _, next := range s {
		select {
		case <-ctx.Done():
			return
		case <-time.After(next.after - time.Since(began)):
			report(next.id, next.up)
		}
	}
	<-ctx.Done()
}

// starts records what was started when, and fails the first times.
type starts struct {
	began    time.Time
	failures atomic.Int32

	mu  sync.Mutex
	got []sighting
}

func (s *starts) ReconcileSecondary(_ context.Context, in workflows.ReconcileSecondaryInput) error {
	if in.Trigger != workflows.TriggerReturn || in.Reason == "" {
		return errors.New("not told why")
	}
	if s.failures.Add(-1) >= 0 {
		return errors.New("Temporal is away")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, sighting{time.Since(s.began), in.Secondary, true})
	return nil
}

func TestReturnsAreReconciled(t *testing.T) {
	const s = time.Second
	for _, c := range []struct {
		name     string
		watch    script
		failures int32
		want     []sighting
	}{
		{"at once those at first", script{{0, "a", true}, {0, "b", true}}, 0, []sighting{{2 * s, "a", true}, {2 * s, "b", true}}},
		{"a return", script{{0, "a", true}, {10 * s, "a", false}, {20 * s, "a", true}}, 0, []sighting{{2 * s, "a", true}, {22 * s, "a", true}}},
		{"one that flaps, once", script{{0, "a", true}, {1 * s, "a", false}, {2 * s, "a", true}, {3 * s, "a", false}, {4 * s, "a", true}}, 0,
			[]sighting{{6 * s, "a", true}}},
		{"one that goes again, not at all", script{{0, "a", true}, {1 * s, "a", false}}, 0, nil},
		{"until Temporal takes it", script{{0, "a", true}}, 3, []sighting{{17 * s, "a", true}}},
		{"gone before Temporal takes it", script{{0, "a", true}, {5 * s, "a", false}}, 1, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &starts{began: time.Now()}
				d.failures.Store(c.failures)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				(&Presence{Watcher: c.watch, Dispatcher: d, Logger: slog.New(slog.DiscardHandler)}).Run(ctx)
				same := slices.EqualFunc(d.got, c.want, func(got, want sighting) bool {
					return got.id == want.id && got.after >= want.after && got.after < want.after+time.Second
				})
				if !same {
					t.Errorf("started %v, want %v", d.got, c.want)
				}
			})
		})
	}
}

// A secondary that registers in a real Consul is handed to the dispatcher.
func TestRegistrationStartsReconcile(t *testing.T) {
	stack := stacktest.Start(t, "consul")
	consul := func(role string) *discovery.Client {
		c, err := discovery.New(discovery.Config{
			Address:   stack.Env("CONSUL_HTTP_ADDR"),
			TLS:       tlsconf.Files{CA: stack.Env("CONSUL_CACERT")},
			TokenFile: filepath.Join(stack.Dir(), "secrets", "consul-"+role),
		}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := &starts{began: time.Now()}
	all.Go(func() {
		(&Presence{Watcher: consul("primary"), Dispatcher: d, Logger: slog.New(slog.DiscardHandler)}).Run(ctx)
	})
	all.Go(func() {
		r := discovery.Registration{Client: consul("secondary-1"), Service: discovery.ServiceSecondary, ID: "secondary-1", DNSAddress: "192.0.2.1:53"}
		r.Run(ctx, func(context.Context) error { return nil })
	})
	eventually.True(t, "secondary-1 is reconciled", func() bool {
		d.mu.Lock()
		defer d.mu.Unlock()
		return len(d.got) == 1 && d.got[0].id == "secondary-1"
	})
}
