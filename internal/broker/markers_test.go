package broker_test

import (
	"fmt"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
)

// What is still on its way to a watch that has ended is kept by nobody.
func TestEndedWatchesLetGo(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 { // more than the library hands over unasked
		if _, err := kv.PutString(t.Context(), fmt.Sprintf("zone-%d", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	watch, err := kv.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	<-watch.Updates()
	broker.EndWatch(watch)
	eventually.True(t, "nobody waits to hand over more", func() bool {
		var stacks strings.Builder
		if err := pprof.Lookup("goroutine").WriteTo(&stacks, 1); err != nil {
			t.Fatal(err)
		}
		return !strings.Contains(stacks.String(), "WatchFiltered")
	})
}

func TestPruneMarkers(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	kv, err := js.KeyValue(t.Context(), broker.BucketHeld)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 300
	for i := range keys {
		key := fmt.Sprintf("zone-%d.example", i)
		_, err := kv.PutString(t.Context(), key, "x")
		if err == nil && i%3 > 0 {
			err = []func() error{
				func() error { return kv.Purge(t.Context(), key) }, func() error { return kv.Delete(t.Context(), key) },
			}[i%2]()
		}
		if err == nil && i%3 == 2 { // and written again
			_, err = kv.PutString(t.Context(), key, "again")
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	subjects := func() int {
		stream, err := js.Stream(t.Context(), "KV_"+broker.BucketHeld)
		if err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		return len(info.State.Subjects)
	}
	for _, step := range []struct {
		age  time.Duration
		want int
	}{{time.Hour, keys}, {0, keys * 2 / 3}, {0, keys * 2 / 3}} {
		if err := broker.PruneMarkers(t.Context(), js, broker.BucketHeld, step.age); err != nil {
			t.Fatal(err)
		}
		if got := subjects(); got != step.want {
			t.Errorf("older than %s: %d keys with an entry or a marker are left, want %d", step.age, got, step.want)
		}
	}
	for i := range keys {
		entry, err := kv.Get(t.Context(), fmt.Sprintf("zone-%d.example", i))
		if wanted := i%3 != 1; (err == nil) != wanted || wanted && string(entry.Value()) != []string{"x", "", "again"}[i%3] {
			t.Errorf("zone-%d: %v, %v", i, entry, err)
		}
	}
}
