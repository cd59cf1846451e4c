package activities_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/broker"
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
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, activities.ErrTypeNewerApplied, app.Type())
	require.ErrorContains(t, err, "lost in NATS")
	var above int64
	require.NoError(t, app.Details(&above))
	require.Equal(t, lost.Version, above)

	result, err := export(b.primary, activities.ExportZoneInput{Zone: bigZone, Above: above})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	b.apply(t)
	b.alike(t)
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
