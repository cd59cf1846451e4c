package broker_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
)

var all = []string{"KV_pdns-guard", "KV_pdns-held", "KV_pdns-secondaries", "KV_pdns-zones", "OBJ_pdns-snapshots", "ZONE_DEAD", "ZONE_EVENTS"}

func config(t *testing.T, js jetstream.JetStream, stream string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

func TestEnsureMakesAllOnceAndAgainWhatIsLost(t *testing.T) {
	_, js := brokertest.Connect(t, stack, "primary")
	brokertest.Empty(t, js)
	cfg := brokertest.Config(stack, "primary")
	for _, want := range [][]string{all, nil, {"KV_pdns-zones"}} {
		if len(want) == 1 {
			if err := js.DeleteKeyValue(t.Context(), broker.BucketZones); err != nil {
				t.Fatal(err)
			}
		}
		created, err := broker.Ensure(t.Context(), js, cfg)
		slices.Sort(created)
		if err != nil || !slices.Equal(created, want) {
			t.Errorf("Ensure made %v, %v; want %v", created, err, want)
		}
	}
}

func TestOldest(t *testing.T) {
	_, js := brokertest.Connect(t, stack, "primary")
	brokertest.Empty(t, js)
	cfg := brokertest.Config(stack, "primary")
	if oldest, err := broker.Oldest(t.Context(), js, cfg); err != nil || !oldest.IsZero() {
		t.Errorf("of nothing: %v, %v", oldest, err)
	}
	began := time.Now()
	if _, err := broker.Ensure(t.Context(), js, cfg); err != nil {
		t.Fatal(err)
	}
	first, err := broker.Oldest(t.Context(), js, cfg)
	if err != nil || first.Before(began) || first.After(time.Now()) {
		t.Errorf("oldest is of %v, %v; made after %v", first, err, began)
	}
	if err := js.DeleteStream(t.Context(), broker.StreamDead); err != nil {
		t.Fatal(err)
	}
	if oldest, err := broker.Oldest(t.Context(), js, cfg); err != nil || oldest.Before(first) {
		t.Errorf("oldest is of %v, %v; the first of %v", oldest, err, first)
	}
}

func TestEnsureMakesThemAsDesigned(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	events := config(t, js, broker.StreamEvents)
	if events.Retention != jetstream.WorkQueuePolicy || events.MaxAge != 0 || events.MaxMsgs > 0 || events.MaxBytes > 0 ||
		events.Storage != jetstream.FileStorage || events.Duplicates != 2*time.Minute ||
		!slices.Equal(events.Subjects, broker.DefaultSubjects) {
		t.Errorf("events may be lost: %+v", events)
	}
	dead := config(t, js, broker.StreamDead)
	if dead.MaxAge != 30*24*time.Hour || dead.MaxBytes <= 0 || dead.Discard != jetstream.DiscardOld {
		t.Errorf("dead letters are not bounded as designed: %+v", dead)
	}
	for _, name := range []string{"KV_pdns-zones", "KV_pdns-secondaries", "KV_pdns-guard", "KV_pdns-held", "OBJ_pdns-snapshots"} {
		if c := config(t, js, name); c.AllowDirect || c.MaxAge != 0 || c.Storage != jetstream.FileStorage || !c.AllowRollup {
			t.Errorf("%s: %+v", name, c)
		}
	}
	// What the library makes of them.
	if kv, err := js.KeyValue(t.Context(), broker.BucketZones); err != nil {
		t.Error(err)
	} else if status, err := kv.Status(t.Context()); err != nil || status.History() != 1 {
		t.Errorf("history: %v, %v", status, err)
	}
}

func TestEnsureLeavesTheOperatorsSettings(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	events := config(t, js, broker.StreamEvents)
	events.Description, events.MaxMsgSize, events.Subjects = "ours", 4096, []string{"zone.add", "dns.changed"}
	if _, err := js.UpdateStream(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	cfg := brokertest.Config(stack, "primary")
	cfg.Subjects = []string{"zone.add", "zone.new"}
	if created, err := broker.Ensure(t.Context(), js, cfg); err != nil || len(created) != 0 {
		t.Fatalf("Ensure made %v, %v", created, err)
	}
	got := config(t, js, broker.StreamEvents)
	if got.Description != "ours" || got.MaxMsgSize != 4096 {
		t.Errorf("changed: %+v", got)
	}
	if want := []string{"zone.add", "dns.changed", "zone.new"}; !slices.Equal(got.Subjects, want) {
		t.Errorf("subjects are %v, want %v", got.Subjects, want)
	}
}

func TestEnsureMendsWhatBreaksAPromise(t *testing.T) {
	_, js := brokertest.Connect(t, stack, "primary")
	brokertest.Empty(t, js)
	// A bucket as the library makes it, with an expiry.
	if _, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: broker.BucketZones, History: 5, TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: broker.StreamEvents, Subjects: []string{"zone.add"}, Retention: jetstream.WorkQueuePolicy,
		MaxAge: time.Hour, Discard: jetstream.DiscardOld, MaxMsgsPerSubject: 10,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broker.Ensure(t.Context(), js, brokertest.Config(stack, "primary")); err != nil {
		t.Fatal(err)
	}
	if c := config(t, js, "KV_pdns-zones"); c.AllowDirect || c.MaxAge != 0 || c.MaxMsgsPerSubject != 1 {
		t.Errorf("versions may expire or be read from a replica that lags: %+v", c)
	}
	if c := config(t, js, broker.StreamEvents); c.MaxAge != 0 || c.Discard != jetstream.DiscardNew || c.MaxMsgsPerSubject != -1 {
		t.Errorf("events may be lost: %+v", c)
	}
}

func TestEnsureTellsWhatItCannotMend(t *testing.T) {
	_, js := brokertest.Connect(t, stack, "primary")
	brokertest.Empty(t, js)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: broker.StreamEvents, Subjects: []string{"zone.add"}})
	if err != nil {
		t.Fatal(err)
	}
	created, err := broker.Ensure(t.Context(), js, brokertest.Config(stack, "primary"))
	if err == nil || !strings.Contains(err.Error(), "nats stream rm ZONE_EVENTS") {
		t.Errorf("error is %v, want the remedy", err)
	}
	if len(created) != len(all)-1 {
		t.Errorf("made only %v", created)
	}
}

func TestEnsureByManyAtOnce(t *testing.T) {
	_, js := brokertest.Connect(t, stack, "primary")
	_, other := brokertest.Connect(t, stack, "operator")
	for range 5 {
		brokertest.Empty(t, js)
		var both sync.WaitGroup
		for i, js := range []jetstream.JetStream{js, other, js, other} {
			cfg := brokertest.Config(stack, "primary")
			if i == 3 {
				cfg.Subjects = append(slices.Clone(broker.DefaultSubjects), "zone.extra") // configured differently
			}
			both.Go(func() {
				// Now and then NATS cannot make a stream while it still removes the files of a former one. As upkeep does,
				// it is asked again.
				err := errors.New("not asked yet")
				for try := 0; err != nil && try < 5; try++ {
					_, err = broker.Ensure(t.Context(), js, cfg)
				}
				if err != nil {
					t.Error(err)
				}
			})
		}
		both.Wait()
		for _, name := range all {
			config(t, js, name)
		}
	}
}

func TestEnsureWithoutPermissionNamesTheUser(t *testing.T) {
	_, js := brokertest.Connect(t, stack, "primary")
	brokertest.Empty(t, js)
	cfg := brokertest.Config(stack, "secondary-1")
	var log logged
	nc, secondary, err := broker.Connect(t.Context(), cfg, "test", log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := broker.Ensure(ctx, secondary, cfg); err == nil {
		t.Error("a secondary may make streams")
	}
	if !strings.Contains(log.String(), "lacks this permission") {
		t.Errorf("the log does not name what to look at:\n%s", log.String())
	}
}
