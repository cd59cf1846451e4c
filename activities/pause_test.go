package activities_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func requirePaused(t *testing.T, err error) {
	t.Helper()
	var app *temporal.ApplicationError
	require.True(t, errors.As(err, &app), "%v", err)
	require.Equal(t, activities.ErrTypePaused, app.Type())
	require.True(t, app.NonRetryable())
	require.ErrorContains(t, err, "pdns-distribute resume secondary-1")
}

func TestAPausedSecondaryGetsNothing(t *testing.T) {
	h := newHosts(t)
	const zone = "paused.example."
	makeZone(t, zone)
	published, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	h.secondary.Gate = &activities.Gate{} // not known yet whether it is paused
	follower := h.follow(t)
	follower.Published(published.Version, nil, "")

	_, err = apply(h.secondary, zone)
	requirePaused(t, err)
	batch, err := run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, activities.ZonesInput{Zones: []string{zone}})
	require.NoError(t, err)
	require.Equal(t, map[string]int{activities.AppliedPaused: 1}, batch.Outcomes)
	require.Empty(t, batch.Alone)
	_, err = run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, activities.ReconcileZonesInput{})
	requirePaused(t, err)
	for held, err := range h.secondary.PowerDNS.Zones(t.Context()) {
		require.NoError(t, err)
		t.Errorf("it holds %s", held.Name)
	}

	h.secondary.Gate.Open()
	reconciled, err := run[activities.ReconcileZonesResult](h.secondary, h.secondary.ReconcileZones, activities.ReconcileZonesInput{})
	require.NoError(t, err)
	require.Equal(t, 1, reconciled.Applied)
	h.serves(t, zone, published.Version.Serial)

	select {
	case <-h.secondary.Gate.Close():
	default:
		t.Error("something is under way")
	}
}

// slowReader waits as it is asked for a version.
type slowReader struct {
	activities.Subscriber
	reading func()
	goOn    chan struct{}
}

func (s slowReader) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	s.reading()
	<-s.goOn
	return s.Subscriber.Fetch(ctx, zone)
}

// A drain waits for what is under way, and nothing new begins meanwhile.
func TestADrainWaitsForWhatIsUnderWay(t *testing.T) {
	h := newHosts(t)
	h.secondary.Gate = &activities.Gate{}
	h.secondary.Gate.Open()
	const zone = "drained.example."
	makeZone(t, zone)
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	reading, goOn := make(chan struct{}), make(chan struct{})
	h.secondary.Versions = slowReader{Subscriber: h.store, reading: sync.OnceFunc(func() { close(reading) }), goOn: goOn}
	ended := make(chan error)
	go func() { _, err := apply(h.secondary, zone); ended <- err }()
	<-reading
	idle := h.secondary.Gate.Close()
	_, err = apply(h.secondary, "another.example.")
	requirePaused(t, err)
	select {
	case <-idle:
		t.Error("idle while a zone is under way")
	default:
	}
	close(goOn)
	require.NoError(t, <-ended)
	eventually.True(t, "it is idle", func() bool {
		select {
		case <-idle:
			return true
		default:
			return false
		}
	})
}

// Nor does it wait for those of a batch or a full compare that have not had their turn: they are left.
func TestZonesWaitingForTheirTurnAreLeftToTheResume(t *testing.T) {
	f := newFlushTest(t, 0)
	const zones = 40
	f.publish(zones)
	f.secondary.Gate = &activities.Gate{}
	f.secondary.Gate.Open()
	held := heldUp{f.Client, make(chan string, zones), make(chan struct{})}
	f.secondary.PowerDNS = held
	ended := make(chan error)
	go func() {
		_, err := run[activities.ReconcileZonesResult](f.secondary, f.secondary.ReconcileZones, activities.ReconcileZonesInput{})
		ended <- err
	}()
	<-held.making
	idle := f.secondary.Gate.Close()
	close(held.goOn)
	requirePaused(t, <-ended)
	<-idle
	require.Less(t, len(held.making), zones/2)
}
