package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestSyncZoneRepairsWhatTheCheckFinds(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.applying()
	env.serving(pdns.ServedOutdated).Once()
	env.serving(pdns.ServedCurrent).Once()
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, 1, result.Repaired)
	require.Equal(t, OutcomeInSync, result.Outcome)
	env.AssertExpectations(t)
}

func TestSyncZoneReportsWhatStaysWrongFromOutside(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.applying()
	env.serving(pdns.ServedOutdated).Times(2)
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateOutdated, result.Secondaries[0].State)
	require.Contains(t, result.Secondaries[0].Error, "from outside")
}

func TestSyncZoneDeadlineIsNotPushedBack(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.applying()
	var checks []time.Duration
	start := env.Now()
	env.OnActivity(verifier.VerifyZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.VerifyZoneInput) (activities.VerifyZoneResult, error) {
			checks = append(checks, env.Now().Sub(start).Round(time.Second))
			return activities.VerifyZoneResult{Served: []activities.Served{{Secondary: "a", State: pdns.ServedCurrent}}}, nil
		})
	for _, at := range []time.Duration{5, 15} {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalZoneChanged, ZoneChange{}) }, at*time.Second)
	}
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, []time.Duration{20 * time.Second}, checks)
	require.Equal(t, 3, result.Exports, "changes during the wait go at once")
}

// A secondary serves more than is published, or NATS has lost what was.
func TestSyncZoneExportsAboveWhatASecondaryServes(t *testing.T) {
	env := newSyncTest(t, "a")
	env.serving(pdns.ServedCurrent)
	var told []pdns.Proxied
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			told = append(told, in.Proxied)
			return published(in.Zone, max(env.exports.Add(1), in.Above+1)), nil
		})
	env.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, in activities.ApplyZoneInput) (activities.ApplyZoneResult, error) {
			if in.Version < 1000 {
				return activities.ApplyZoneResult{}, temporal.NewNonRetryableApplicationError("newer", activities.ErrTypeNewerApplied, nil, int64(1000))
			}
			return applied(ctx, in)
		})
	result := env.run(t, SyncZoneInput{Zone: "example.org.", Proxied: pdns.ProxiedDelete})
	require.EqualValues(t, 1001, result.Version)
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, []pdns.Proxied{pdns.ProxiedDelete, pdns.ProxiedDelete}, told, "what was asked of the version that is lost is asked again")
}

// Where exports do not get above what a secondary serves, each waits longer.
func TestSyncZoneDoesNotSpinBelowWhatASecondaryServes(t *testing.T) {
	env := newSyncTest(t, "a")
	env.serving(pdns.ServedCurrent)
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			if n := env.exports.Add(1); n <= 5 {
				return published(in.Zone, n), nil
			}
			return published(in.Zone, 1001), nil
		})
	env.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, in activities.ApplyZoneInput) (activities.ApplyZoneResult, error) {
			if in.Version < 1000 {
				return activities.ApplyZoneResult{}, temporal.NewNonRetryableApplicationError("newer", activities.ErrTypeNewerApplied, nil, int64(1000))
			}
			return applied(ctx, in)
		})
	began := env.Now()
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, 6, result.Exports)
	require.GreaterOrEqual(t, env.Now().Sub(began), (2+4+8+16)*time.Second)
}
