package upkeep_test

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/triggers/upkeep"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

var schedules = []temporal.Schedule{{
	ID: "test-check", Every: 15 * time.Minute, Workflow: "TestCheck", WorkflowID: "test-check", TaskQueue: "nobody", Input: struct{}{},
}}

// recreated collects what upkeep says had been lost.
type recreated struct {
	// owed is the file of what was not taken, refused the answer to what is told.
	owed    string
	refused error

	mu  sync.Mutex
	all []string
}

func (r *recreated) add(_ context.Context, what []string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, what...)
	return r.refused
}

func (r *recreated) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

// run runs an upkeep until the returned function is called.
func run(t *testing.T, s *stacktest.Stack, tc client.Client, youth time.Duration, lost *recreated) (*upkeep.Upkeep, func()) {
	t.Helper()
	_, js := brokertest.Connect(t, s, "primary")
	u := upkeep.New(upkeep.Upkeep{
		JetStream: js, Broker: brokertest.Config(s, "primary"), Temporal: tc, Namespace: "default", Schedules: schedules,
		Versions: versions.New(js), Logger: slog.New(slog.NewTextHandler(t.Output(), nil)), OnRecreated: lost.add, OwedFile: lost.owed,
	})
	u.SetYouth(youth)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { u.Run(ctx) })
	stop := sync.OnceFunc(func() { cancel(); running.Wait() })
	t.Cleanup(stop)
	return u, stop
}

// stands reports whether everything is there.
func stands(ctx context.Context, js jetstream.JetStream, tc client.Client) bool {
	for _, name := range []string{"ZONE_EVENTS", "ZONE_DEAD", "KV_pdns-zones", "KV_pdns-secondaries", "KV_pdns-guard", "KV_pdns-held", "OBJ_pdns-snapshots"} {
		if _, err := js.Stream(ctx, name); err != nil {
			return false
		}
	}
	have, err := tc.OperatorService().ListSearchAttributes(ctx, &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	if err != nil {
		return false
	}
	for _, name := range []string{workflows.AttributeZone, workflows.AttributeSecondary, workflows.AttributeTrigger, workflows.AttributeOutcome} {
		if _, exists := have.GetCustomAttributes()[name]; !exists {
			return false
		}
	}
	_, err = tc.ScheduleClient().GetHandle(ctx, schedules[0].ID).Describe(ctx)
	return err == nil
}

// requireNothingOwed waits until the note is empty.
func requireNothingOwed(t *testing.T, u *upkeep.Upkeep, owed string) {
	t.Helper()
	eventually.True(t, "nothing is owed", func() bool {
		u.Wake()
		_, err := os.Stat(owed)
		return errors.Is(err, fs.ErrNotExist)
	})
}

func TestUpkeep(t *testing.T) {
	s := stacktest.Start(t, "nats", "temporal")
	_, js := brokertest.Connect(t, s, "operator")
	tc, err := temporal.Dial(t.Context(), temporal.Config{
		Address: s.Env("TEMPORAL_ADDRESS"), Namespace: "default",
		TLS: tlsconf.Files{CA: s.Env("TEMPORAL_TLS_CA"), ServerName: "localhost",
			Cert: filepath.Join(s.Dir(), "pki", "primary.crt"), Key: filepath.Join(s.Dir(), "pki", "primary.key")},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer tc.Close()

	// A new system: Temporal comes later; two primaries at once; nothing had
	// been there, so nothing was lost.
	s.Stop(t, "temporal")
	first := recreated{owed: filepath.Join(t.TempDir(), "owed.json")}
	var second recreated
	u, stop := run(t, s, tc, time.Minute, &first)
	_, stopSecond := run(t, s, tc, time.Minute, &second)
	// And one that cannot wait for the passes, as the trigger.
	eventually.True(t, "the streams are made", func() bool { return u.EnsureBroker(t.Context()) == nil })
	eventually.True(t, "the streams stand without Temporal", func() bool {
		_, err := js.Stream(t.Context(), broker.StreamEvents)
		return err == nil
	})
	s.StartProc(t, "temporal")
	eventually.True(t, "all stands", func() bool { u.Wake(); return stands(t.Context(), js, tc) })
	stopSecond()
	requireNothingOwed(t, u, first.owed)
	if lost := append(first.list(), second.list()...); len(lost) > 0 {
		t.Errorf("a new system reports %v as lost", lost)
	}

	// Lost while it runs.
	if err := js.DeleteKeyValue(t.Context(), broker.BucketZones); err != nil {
		t.Fatal(err)
	}
	u.Wake()
	eventually.True(t, "the lost bucket is told", func() bool { return slices.Equal(first.list(), []string{"KV_pdns-zones"}) })
	if !stands(t.Context(), js, tc) {
		t.Error("the lost bucket is not there again")
	}
	// So it is where another could not wait for the next pass.
	if err := js.DeleteStream(t.Context(), broker.StreamEvents); err != nil {
		t.Fatal(err)
	}
	if err := u.EnsureBroker(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the lost stream is told", func() bool { return slices.Contains(first.list(), broker.StreamEvents) })
	stop()

	// Lost while none ran: all of NATS, while Temporal kept its part.
	brokertest.Empty(t, js)
	var third recreated
	_, stop = run(t, s, tc, 0, &third)
	eventually.True(t, "the loss of NATS's data is told", func() bool { return len(third.list()) == 7 })
	stop()

	// One thing was lost: that alone is told.
	var fourth recreated
	u, stop = run(t, s, tc, 0, &fourth)
	if err := js.DeleteKeyValue(t.Context(), broker.BucketSecondaries); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the roster's bucket is told", func() bool { u.Wake(); return len(fourth.list()) > 0 })
	stop()
	if lost := fourth.list(); !slices.Equal(lost, []string{"KV_pdns-secondaries"}) {
		t.Errorf("lost are %v", lost)
	}

	// What an ended process owes, the next one tells, though nothing is missing any more: what nobody took,
	// what was made for one who could not wait, and what was made before all stood for the first time.
	owed := filepath.Join(t.TempDir(), "state", "owed.json")
	untaken := recreated{owed: owed, refused: errors.New("no secondary")}
	u, stop = run(t, s, tc, 0, &untaken)
	if err := js.DeleteKeyValue(t.Context(), broker.BucketGuard); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the guard's bucket is told", func() bool { u.Wake(); return len(untaken.list()) > 0 })
	stop()
	if err := js.DeleteKeyValue(t.Context(), broker.BucketHeld); err != nil {
		t.Fatal(err)
	}
	// NATS sometimes cannot make at once what was just removed.
	eventually.True(t, "the holds' bucket is made", func() bool { return u.EnsureBroker(t.Context()) == nil })
	s.Stop(t, "temporal")
	if err := js.DeleteKeyValue(t.Context(), broker.BucketZones); err != nil {
		t.Fatal(err)
	}
	_, stop = run(t, s, tc, 0, &untaken)
	eventually.True(t, "the zones' bucket is noted", func() bool {
		note, err := os.ReadFile(owed)
		return err == nil && strings.Contains(string(note), "KV_pdns-zones")
	})
	stop()
	s.StartProc(t, "temporal")
	next := recreated{owed: owed}
	u, stop = run(t, s, tc, time.Minute, &next)
	requireNothingOwed(t, u, owed)
	stop()
	if lost := next.list(); !slices.Equal(lost, []string{"KV_pdns-guard", "KV_pdns-held", "KV_pdns-zones"}) {
		t.Errorf("the next process tells %v", lost)
	}
}
