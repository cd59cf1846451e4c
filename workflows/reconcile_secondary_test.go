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
	env := suite.NewTestWorkflowEnvironment()
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
