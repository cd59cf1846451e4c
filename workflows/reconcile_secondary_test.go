package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

func newReconcileTest(t *testing.T) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := newEnvironment(&suite)
	env.RegisterWorkflow(ReconcileSecondary)
	env.RegisterActivity(&activities.Secondary{})
	return env
}

func reconcileResult(t *testing.T, env *testsuite.TestWorkflowEnvironment) ReconcileSecondaryResult {
	t.Helper()
	require.NoError(t, env.GetWorkflowError())
	var result ReconcileSecondaryResult
	require.NoError(t, env.GetWorkflowResult(&result))
	return result
}

func TestReconcileSecondaryDoesOneMoreRoundForARequestMeanwhile(t *testing.T) {
	env := newReconcileTest(t)
	rounds := 0
	env.OnActivity(secondary.ReconcileZones, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.ReconcileZonesInput) (activities.ReconcileZonesResult, error) {
			if rounds++; rounds == 1 {
				env.SignalWorkflow(SignalReconcile, ReconcileSecondaryInput{Secondary: "a", Reason: "NATS is back"})
			}
			return activities.ReconcileZonesResult{Zones: 3, Current: 3}, nil
		}).After(time.Second)
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{Secondary: "a"})
	result := reconcileResult(t, env)
	require.Equal(t, 2, result.Rounds)
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, "NATS is back", result.Reason)
}

func TestReconcileSecondaryReportsForeignZones(t *testing.T) {
	env := newReconcileTest(t)
	env.OnActivity(secondary.ReconcileZones, mock.Anything, mock.Anything).
		Return(activities.ReconcileZonesResult{Zones: 3, Current: 2, Foreign: 1, ForeignZones: []string{"x."}, Blocked: 1}, nil)
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{Secondary: "a"})
	require.Equal(t, OutcomePartial, reconcileResult(t, env).Outcome)
}

// Zones of its own are no fault of a secondary.
func TestReconcileSecondaryWithOwnZonesIsInSync(t *testing.T) {
	env := newReconcileTest(t)
	env.OnActivity(secondary.ReconcileZones, mock.Anything, mock.Anything).
		Return(activities.ReconcileZonesResult{Zones: 2, Current: 2, Foreign: 1, ForeignZones: []string{"x."}}, nil)
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{Secondary: "a"})
	result := reconcileResult(t, env)
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, []string{"x."}, result.Found.ForeignZones)
}

func TestReconcileSecondaryNamesZonesThatItCannotHold(t *testing.T) {
	env := newReconcileTest(t)
	env.OnActivity(secondary.ReconcileZones, mock.Anything, mock.Anything).
		Return(activities.ReconcileZonesResult{Zones: 2, Current: 1, Failed: 1, FailedZones: []string{"x."}, Reason: "zone x.: refused"}, nil)
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{Secondary: "a"})
	result := reconcileResult(t, env)
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, "zone x.: refused", result.Error)
}

func TestReconcileSecondaryOfAnAbsentHostSaysSo(t *testing.T) {
	env := newReconcileTest(t)
	env.OnActivity(secondary.ReconcileZones, mock.Anything, mock.Anything).
		Return(activities.ReconcileZonesResult{}, temporal.NewNonRetryableApplicationError("absent", "Absent", nil))
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{Secondary: "a"})
	result := reconcileResult(t, env)
	require.Equal(t, OutcomeFailed, result.Outcome)
	require.Equal(t, "absent", result.Error)
}

func TestReconcileSecondaryNeedsAnID(t *testing.T) {
	env := newReconcileTest(t)
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{})
	require.ErrorContains(t, env.GetWorkflowError(), `{"secondary":"<id>"}`)
}

// A compare goes piece by piece, longer ones after short ones, and shows how far
// it is; the result is that of all.
func TestReconcileSecondaryGoesOnUntilNothingRemains(t *testing.T) {
	env := newReconcileTest(t)
	var asked []activities.ReconcileZonesInput
	env.OnActivity(secondary.ReconcileZones, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ReconcileZonesInput) (activities.ReconcileZonesResult, error) {
			asked = append(asked, in)
			piece := activities.ReconcileZonesResult{Zones: 1000, Current: 10, Applied: 100, Deleted: 1, Remaining: 990 - 101*len(asked)}
			piece.Remaining = max(0, piece.Remaining)
			return piece, nil
		}).After(10 * time.Second)
	var halfway ReconcileSecondaryResult
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		require.NoError(t, value.Get(&halfway))
	}, 25*time.Second)
	env.ExecuteWorkflow(ReconcileSecondary, ReconcileSecondaryInput{Secondary: "a"})
	result := reconcileResult(t, env)
	require.Len(t, asked, 10)
	require.Equal(t, 1000, result.Found.Applied)
	require.Equal(t, 10, result.Found.Deleted)
	require.Equal(t, 10, result.Found.Current)
	require.Nil(t, result.Progress)
	require.Equal(t, &ReconcileProgress{Done: 202, Total: 990, Rate: 10}, halfway.Progress)
	for i, in := range asked {
		require.Equal(t, asked[0].Compare, in.Compare, "all are pieces of one compare")
		require.LessOrEqual(t, in.Within, longestPiece)
		require.True(t, i == 0 || in.Within >= asked[i-1].Within)
	}
}
