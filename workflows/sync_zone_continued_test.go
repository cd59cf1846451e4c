package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestSyncZoneContinuesAsNewAndLosesNothing(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.applying()
	env.serving(pdns.ServedCurrent).Maybe()
	env.RegisterDelayedCallback(func() {
		for range continueAfter {
			env.SignalWorkflow(SignalZoneChanged, ZoneChange{Primary: "primary-1"})
		}
	}, time.Second)
	env.ExecuteWorkflow(SyncZone, SyncZoneInput{Zone: "example.org."})
	in, _ := handedOn[SyncZoneInput](t, env)
	require.NotNil(t, in.Carried)
	require.True(t, in.Carried.Requested, "the export that the signals asked for is still owed")
	exported := env.exports.Load()
	require.Equal(t, exported, in.Carried.Newest.Version)
	require.Equal(t, continueAfter, in.Carried.Changes)
	require.Equal(t, "primary-1", in.Primary)

	again := newSyncTest(t, "a")
	again.exports.Store(exported)
	again.exporting()
	again.applying()
	again.serving(pdns.ServedCurrent)
	result := again.run(t, in)
	require.Equal(t, exported+1, result.Version)
	require.EqualValues(t, exported+1, result.Exports)
	require.Equal(t, OutcomeInSync, result.Outcome)
}

func TestSyncZoneContinuesAsNewWithItsCheck(t *testing.T) {
	env := newSyncTest(t, "a")
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			result := published(in.Zone, env.exports.Add(1))
			result.Timing.MinInterval = 10 * time.Second
			return result, nil
		})
	env.applying()
	env.serving(pdns.ServedCurrent).After(time.Minute)
	for _, at := range []time.Duration{15 * time.Second, 16 * time.Second} {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalZoneChanged, ZoneChange{}) }, at)
	}
	// The check is under way, and the second of these changes waits.
	env.RegisterDelayedCallback(func() { env.SetContinueAsNewSuggested(true) }, testTiming.EventCheckWait+time.Second)
	require.False(t, env.continued(t).UncheckedSince.IsZero(), "the check is owed")
}

// failing makes exports fail for as long as within says.
func (e *syncTest) failing(within time.Duration) *[]activities.ExportZoneInput {
	until := e.Now().Add(within)
	var asked []activities.ExportZoneInput
	e.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			asked = append(asked, in)
			// The environment ends unbounded retries after ten, Temporal never does.
			require.LessOrEqual(e.t, activity.GetInfo(ctx).ScheduleToCloseTimeout, exportWithin)
			if e.Now().Before(until) {
				return activities.ExportZoneResult{}, errors.New("no room in the bucket")
			}
			return published(in.Zone, e.exports.Add(1)), nil
		})
	return &asked
}

func TestSyncZoneContinuesAsNewThoughNoPrimaryCanExport(t *testing.T) {
	env := newSyncTest(t, "a")
	env.failing(24 * time.Hour)
	start := env.Now()
	env.RegisterDelayedCallback(func() {
		for range continueAfter {
			env.SignalWorkflow(SignalZoneChanged, ZoneChange{Proxied: pdns.ProxiedDelete})
		}
	}, time.Second)
	carried := env.continued(t)
	require.Less(t, env.Now().Sub(start), exportWithin)
	require.True(t, carried.Requested)
	require.Equal(t, pdns.ProxiedDelete, carried.Proxied)
	require.Contains(t, carried.Error, "no room in the bucket")
}

// The version that is being applied may be lost: the next run can ask for it again as it was asked for.
func TestSyncZoneCarriesWhatWasAsked(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).After(time.Minute).Return(applied)
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalZoneChanged, ZoneChange{Proxied: pdns.ProxiedDelete}) }, 0)
	env.RegisterDelayedCallback(func() {
		env.SetContinueAsNewSuggested(true)
		env.SignalWorkflow(SignalZoneChanged, ZoneChange{})
	}, 10*time.Second)
	require.Equal(t, pdns.ProxiedDelete, env.continued(t).Asked)
}

// Also with what the API call asked for.
func TestSyncZoneKeepsAChangeUntilAPrimaryCanExport(t *testing.T) {
	env := newSyncTest(t, "a")
	env.applying()
	env.serving(pdns.ServedCurrent)
	asked := env.failing(time.Hour)
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		var status SyncZoneResult
		require.NoError(t, value.Get(&status))
		require.Contains(t, status.Error, "no room in the bucket")
	}, 30*time.Minute)
	start := env.Now()
	result := env.run(t, SyncZoneInput{Zone: "example.org.", Proxied: pdns.ProxiedDelete})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Empty(t, result.Error)
	require.Equal(t, pdns.ProxiedDelete, (*asked)[len(*asked)-1].Proxied)
	require.Less(t, env.Now().Sub(start), time.Hour+time.Minute, "it is used again within seconds")
}

// The dispatcher takes refused signals as accepted.
func TestSyncZoneOwesAnExportForWhatTemporalRefused(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).After(10 * time.Second).Return(applied)
	env.RegisterDelayedCallback(func() {
		env.UpdateWorkflowNoRejection(UpdateSync, "1", t, ZoneChange{})
		for range continueAfter {
			env.SignalWorkflow(SignalZoneChanged, ZoneChange{})
		}
	}, time.Second)
	carried := env.continued(t)
	require.Equal(t, continueAfter+1, carried.Changes)
	require.Greater(t, carried.Exports, 1, "all that arrived has been exported")
	require.True(t, carried.Requested)
}

func TestSyncZoneAnswersWhileTheZoneChangesOn(t *testing.T) {
	env := newSyncTest(t, "dead", "slow")
	env.exporting()
	env.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).After(hostStart).Return(
		func(ctx context.Context, in activities.ApplyZoneInput) (activities.ApplyZoneResult, error) {
			if activity.GetInfo(ctx).TaskQueue == SecondaryHostQueue("dead") {
				return activities.ApplyZoneResult{}, temporal.NewNonRetryableApplicationError("it is away", "Away", nil)
			}
			return applied(ctx, in)
		})
	env.serving(pdns.ServedCurrent).Maybe()
	changes := 0
	var change func()
	change = func() {
		env.SignalWorkflow(SignalZoneChanged, ZoneChange{})
		if changes++; changes < 2*continueAfter {
			env.RegisterDelayedCallback(change, hostStart/2)
		}
	}
	env.RegisterDelayedCallback(change, 0)
	start := env.Now()
	var answered time.Duration
	env.RegisterDelayedCallback(func() {
		asked := env.exports.Load()
		env.UpdateWorkflow(UpdateSync, "1", &testsuite.TestUpdateCallback{
			OnAccept: func() {},
			OnReject: func(err error) { t.Error(err) },
			OnComplete: func(answer any, err error) {
				require.NoError(t, err)
				answered = env.Now().Sub(start)
				result, ok := answer.(SyncZoneResult)
				require.True(t, ok)
				require.Equal(t, OutcomePartial, result.Outcome)
				require.Equal(t, StateLagging, result.Secondaries[0].State)
				require.Equal(t, StateInSync, result.Secondaries[1].State)
				require.Greater(t, result.Secondaries[1].Version, asked, "it has what was asked for")
			},
		}, ZoneChange{})
	}, time.Minute)
	carried := env.continued(t)
	require.Greater(t, answered, time.Minute)
	require.Less(t, answered, time.Minute+3*hostStart)
	require.LessOrEqual(t, carried.Changes, continueAfter+1)
}
