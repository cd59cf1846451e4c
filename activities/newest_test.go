package activities_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Content that NATS has lost is asked for twice and then exported again, instead of being waited for.
func TestTheContentOfTheNewestVersionIsLost(t *testing.T) {
	b := newBigHosts(t, 0)
	patched(t, rrset("h001."+bigZone, "TXT", `"second"`))
	lost := b.export(t).Version
	objects, err := b.js.ObjectStore(t.Context(), broker.BucketSnapshots)
	require.NoError(t, err)
	require.NoError(t, objects.Delete(t.Context(), b.newest(t).Object))

	_, err = apply(b.secondary, bigZone)
	mustBeExportedAbove(t, err, lost.Version, "lost in NATS")

	result, err := export(b.primary, activities.ExportZoneInput{Zone: bigZone, Above: lost.Version})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	b.apply(t)
	b.alike(t)
}

// mustBeExportedAbove requires the error that has a sync export a zone above a version, and that it says why.
func mustBeExportedAbove(t *testing.T, err error, version int64, says string) {
	t.Helper()
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, activities.ErrTypeNewerApplied, app.Type())
	require.ErrorContains(t, err, says)
	var above int64
	require.NoError(t, app.Details(&above))
	require.Equal(t, version, above)
}

// While a sync asks a NATS that is far, the zone is not locked: what is published meanwhile is applied, and the sync is content with it.
func TestAZoneIsNotLockedWhileNATSIsAsked(t *testing.T) {
	h := newHosts(t)
	makeZone(t, "ahead.example.")
	_, err := export(h.primary, changes())
	require.NoError(t, err)
	_, err = apply(h.secondary, "ahead.example.")
	require.NoError(t, err)
	old, _, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err)
	far := &farVersions{Subscriber: h.secondary.Versions, asked: make(chan struct{}), answer: make(chan struct{}), old: old}
	h.secondary.Versions = far
	ended := make(chan activities.ApplyZoneResult, 1)
	go func() {
		result, err := apply(h.secondary, "ahead.example.")
		if err == nil {
			ended <- result
		}
		close(ended)
	}()
	<-far.asked
	follower := h.follow(t)
	set(t, "ahead.example.", 9, "nine")
	newer, err := export(h.primary, changes())
	require.NoError(t, err)
	content, err := h.store.Open(t.Context(), newer.Version)
	require.NoError(t, err)
	data, err := io.ReadAll(content)
	require.NoError(t, err)
	follower.Published(newer.Version, data, "")
	h.serves(t, "ahead.example.", 9)
	eventually.True(t, "it is noted", func() bool {
		a, _, err := h.secondary.Applied.Get("ahead.example.")
		return err == nil && a.Version == newer.Version.Version
	})
	close(far.answer)
	result, finished := <-ended
	require.True(t, finished, "it failed")
	require.Equal(t, newer.Version.Version, result.Version)
	require.Equal(t, activities.AppliedCurrent, result.Outcome)
	require.Equal(t, 1, far.count, "asked once")
}

// farVersions answers the first question late, with what was the newest when it came.
type farVersions struct {
	activities.Subscriber
	asked, answer chan struct{}
	old           pdns.Version
	count         int
}

func (f *farVersions) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	f.count++
	if f.count > 1 {
		return f.Subscriber.Fetch(ctx, zone)
	}
	close(f.asked)
	<-f.answer
	return f.old, nil, nil
}

// Temporal looks at the outermost error alone: what is wrong must stand there, under all that was added on the way.
func TestWhatIsWrongStandsOutermost(t *testing.T) {
	h := newHosts(t)
	_, err := apply(h.secondary, "never.example.")
	require.NoError(t, err)
	require.NoError(t, h.secondary.Applied.Set(pdns.Applied{Zone: "never.example.", Version: 9}))
	_, err = h.store.Publish(t.Context(), pdns.Version{Zone: "never.example.", Version: 5, Deleted: true}, nil, 0)
	require.NoError(t, err)
	_, err = apply(h.secondary, "never.example.")
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, activities.ErrTypeNewerApplied, app.Type())
	require.True(t, app.NonRetryable())
	require.Contains(t, app.Message(), "apply zone never.example. on secondary secondary-1: secondary secondary-1 serves version 9")

	_, err = export(h.primary, activities.ExportZoneInput{Zone: "not..a.name"})
	require.ErrorAs(t, err, &app)
	require.Equal(t, activities.ErrTypeBadInput, app.Type())
	require.True(t, app.NonRetryable())
}

// Where many zones are to be brought, a NATS that is far is asked for many at once, not only for those that PowerDNS is at.
func TestManyZonesAreAskedForAtOnce(t *testing.T) {
	h := newHosts(t)
	const zones = 40
	publishZones(t, h, zones)
	h.secondary.Versions = &allAsked{Subscriber: h.store, all: make(chan struct{}), left: zones}
	result := reconcile(t, h, activities.ReconcileZonesInput{})
	require.Equal(t, zones, result.Applied)
}

// allAsked answers once it was asked as often as it should be.
type allAsked struct {
	activities.Subscriber
	all  chan struct{}
	mu   sync.Mutex
	left int
}

func (a *allAsked) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	a.mu.Lock()
	if a.left--; a.left == 0 {
		close(a.all)
	}
	a.mu.Unlock()
	select {
	case <-a.all:
		return a.Subscriber.Fetch(ctx, zone)
	case <-time.After(time.Minute):
		return pdns.Version{}, nil, context.DeadlineExceeded
	}
}
