package events

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

func TestPace(t *testing.T) {
	p := newPace()
	now := time.Now()
	alone := 0
	for i := range 1000 {
		if p.alone(fmt.Sprintf("zone%d.", i), now) {
			alone++
		}
	}
	require.Equal(t, aloneBurst, alone, "an import goes in batches")
	require.True(t, p.alone("zone0.", now), "a zone whose sync runs is signalled")
	require.False(t, p.alone("zone999.", now))
	for range 10 {
		now = now.Add(time.Second)
		require.False(t, p.alone("zone999.", now), "while the import goes on")
		for i := range 10 {
			p.alone(fmt.Sprintf("new%d.", i), now)
		}
	}
	require.True(t, p.alone("zone999.", now.Add(backlogEnds+time.Second)), "a lone change later gets a sync of its own")
	p.alone("other.", now.Add(time.Hour))
	require.Len(t, p.recent, 1, "old zones are forgotten")
}

// batchRecorder is a Dispatcher that keeps what it is given.
type batchRecorder struct {
	mu      sync.Mutex
	batches map[string]workflows.SyncZonesInput
	err     error
}

func (r *batchRecorder) SyncZone(context.Context, workflows.SyncZoneInput, workflows.ZoneChange) error {
	return nil
}

func (r *batchRecorder) SyncZones(_ context.Context, name string, in workflows.SyncZonesInput) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches[name] = in
	return r.err
}

func TestBatchesTakeEveryEventOnce(t *testing.T) {
	r := &batchRecorder{batches: make(map[string]workflows.SyncZonesInput)}
	b := newBatches(r)
	var adding sync.WaitGroup
	for i := range 3 * workflows.MaxBatch {
		adding.Go(func() {
			require.NoError(t, b.add(t.Context(), fmt.Sprintf("zone%d.", i/2), fmt.Sprint("change-", i), sort{primary: fmt.Sprintf("primary-%d", i%2), proxied: []pdns.Proxied{pdns.NotProxied, pdns.ProxiedDelete}[i%2]}, fmt.Sprint(i)))
		})
	}
	adding.Wait()
	zones := make(map[string]bool)
	for _, in := range r.batches {
		require.LessOrEqual(t, len(in.Zones), workflows.MaxBatch)
		require.Equal(t, workflows.TriggerEvent, in.Trigger)
		require.Equal(t, in.Primary == "primary-1", in.Proxied == pdns.ProxiedDelete, "a batch is of one sort")
		for _, zone := range in.Zones {
			require.Len(t, in.Changes[zone], 1)
			require.False(t, zones[in.Primary+zone], "twice: %s", zone)
			zones[in.Primary+zone] = true
		}
	}
	require.Len(t, zones, 3*workflows.MaxBatch)
}

func TestABatchThatTemporalRefusesIsGivenBackWhole(t *testing.T) {
	r := &batchRecorder{batches: make(map[string]workflows.SyncZonesInput), err: errors.New("away")}
	b := newBatches(r)
	var adding sync.WaitGroup
	for i := range 10 {
		adding.Go(func() {
			require.ErrorIs(t, b.add(t.Context(), fmt.Sprintf("zone%d.", i), "", sort{}, fmt.Sprint(i)), r.err)
		})
	}
	adding.Wait()
}

func TestTheSameEventsHaveTheSameName(t *testing.T) {
	name := func(events ...string) string { return (&batch{events: events}).name() }
	require.Equal(t, name("1", "2"), name("2", "1"))
	require.NotEqual(t, name("1", "2"), name("1", "2", "3"))
	require.NotEqual(t, name("1", "2"), name("12"))
}

func TestABatchNamesTheChangesOfZonesThatNothingElseAsksFor(t *testing.T) {
	b := &batch{zones: map[string][]string{"a.": {"1", "2"}, "b.": {"3", ""}}, unnamed: map[string]bool{"a.": false, "b.": true}}
	require.Equal(t, map[string][]string{"a.": {"1", "2"}}, b.changes())
}

func TestABacklogGoesInFewerBatches(t *testing.T) {
	b := newBatches(&batchRecorder{})
	now := time.Now()
	require.Equal(t, batchWait, b.wait(now), "the first")
	b.sent = now
	require.Equal(t, backlogWait, b.wait(now.Add(backlogEnds-time.Millisecond)), "while they follow each other")
	require.Equal(t, batchWait, b.wait(now.Add(backlogEnds)), "the first after a while")
	require.Less(t, backlogWait+dispatch.DefaultTimeout, handleTimeout, "Temporal has its time")
}
