package workflows

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

func newBatchTest(t *testing.T, ids ...string) *syncTest {
	t.Helper()
	env := newSyncTest(t, ids...)
	env.RegisterWorkflow(SyncZones)
	return env
}

func (e *syncTest) runBatch(t *testing.T, in SyncZonesInput) SyncZonesResult {
	t.Helper()
	e.ExecuteWorkflow(SyncZones, in)
	require.True(t, e.IsWorkflowCompleted())
	require.NoError(t, e.GetWorkflowError())
	var result SyncZonesResult
	require.NoError(t, e.GetWorkflowResult(&result))
	return result
}

func TestSyncZonesReachesEverySecondary(t *testing.T) {
	env := newBatchTest(t, "a", "b")
	env.OnActivity(primary.ExportZones, mock.Anything, activities.ZonesInput{Zones: []string{"a.example.", "b.example."}}).
		Return(activities.ZonesResult{Outcomes: map[string]int{activities.ExportPublished: 2}, Timing: testTiming}, nil).Once()
	env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).
		Return(activities.ZonesResult{Outcomes: map[string]int{activities.AppliedNow: 2}}, nil).Twice()
	env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, nil).Once()
	result := env.runBatch(t, SyncZonesInput{Zones: []string{"B.example", "a.example.", "b.example."}})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, 2, result.Zones, "each zone once")
	require.Empty(t, result.Alone)
	env.AssertExpectations(t)
}

// Secondaries are told the versions after changes; whoever asks for another reason doubts what they know.
func TestSyncZonesTellsVersionsAfterChanges(t *testing.T) {
	for _, trigger := range []string{TriggerEvent, TriggerReturn} {
		env := newBatchTest(t, "a")
		versions := map[string]int64{"a.example.": 7}
		env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{Versions: versions, Timing: testTiming}, nil)
		env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ZonesInput) (activities.ZonesResult, error) {
			require.Equal(t, trigger == TriggerEvent, in.Versions != nil)
			return activities.ZonesResult{}, nil
		}).Once()
		env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, nil)
		env.runBatch(t, SyncZonesInput{Zones: []string{"a.example."}, Trigger: trigger})
		env.AssertExpectations(t)
	}
}

func TestSyncZonesLeavesWhatNeedsMoreToSyncsOfTheirOwn(t *testing.T) {
	env := newBatchTest(t, "dead", "fine")
	env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).
		Return(activities.ZonesResult{Alone: []string{"gone.example."}, Reason: "other primaries must be asked", Timing: testTiming}, nil)
	env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, _ activities.ZonesInput) (activities.ZonesResult, error) {
			if activity.GetInfo(ctx).TaskQueue == SecondaryHostQueue("dead") {
				return activities.ZonesResult{}, temporal.NewNonRetryableApplicationError("dead", "Dead", nil)
			}
			return activities.ZonesResult{Alone: []string{"ahead.example."}}, nil
		})
	env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{Alone: []string{"gone.example.", "outdated.example."}, Reason: "outdated"}, nil)
	var started []string
	env.OnActivity(directory.StartSyncs, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ZonesInput) error {
		started = append(started, in.Zones...)
		return nil
	}).Twice()
	result := env.runBatch(t, SyncZonesInput{Zones: []string{"gone.example.", "ahead.example.", "outdated.example.", "fine.example."}, Trigger: TriggerEvent})
	require.Equal(t, []string{"ahead.example.", "gone.example.", "outdated.example."}, started)
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateLagging, result.Secondaries[0].State)
	env.AssertExpectations(t)
}

// The check from outside is told whose worker has taken nothing: it is absent, not wrong.
func TestSyncZonesTellsItsCheckWhoIsAbsent(t *testing.T) {
	env := newBatchTest(t, "absent", "failing", "fine")
	env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{Timing: testTiming}, nil)
	env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, _ activities.ZonesInput) (activities.ZonesResult, error) {
			switch activity.GetInfo(ctx).TaskQueue {
			case SecondaryHostQueue("absent"):
				return activities.ZonesResult{}, temporal.NewTimeoutError(enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START, nil)
			case SecondaryHostQueue("failing"):
				return activities.ZonesResult{}, temporal.NewNonRetryableApplicationError("broken", "Broken", nil)
			}
			return activities.ZonesResult{}, nil
		})
	env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.VerifyZonesInput) (activities.ZonesResult, error) {
		require.Len(t, in.Targets, 3)
		require.Equal(t, []string{"absent"}, in.Absent)
		return activities.ZonesResult{}, nil
	}).Once()
	result := env.runBatch(t, SyncZonesInput{Zones: []string{"a.example."}, Trigger: TriggerEvent})
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateLagging, result.Secondaries[0].State)
	env.AssertExpectations(t)
}

func TestSyncZonesWithoutSecondariesIsNoSuccess(t *testing.T) {
	env := newBatchTest(t)
	env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{Timing: testTiming}, nil)
	require.Equal(t, OutcomeFailed, env.runBatch(t, SyncZonesInput{Zones: []string{"x."}}).Outcome)
}

func TestSyncZonesRefusesBadInput(t *testing.T) {
	many := make([]string, MaxBatch+1)
	for i := range many {
		many[i] = fmt.Sprintf("z%d.", i)
	}
	for _, zones := range [][]string{nil, {"a..b"}, many} {
		env := newBatchTest(t)
		env.ExecuteWorkflow(SyncZones, SyncZonesInput{Zones: zones})
		require.ErrorContains(t, env.GetWorkflowError(), `SyncZones needs {"zones":["example.org.",…]}`)
	}
}

// A check from outside that never comes to an end holds up neither the batch nor,
// on the same queue, exports.
func TestSyncZonesEndsWithoutItsCheck(t *testing.T) {
	env := newBatchTest(t, "a")
	env.OnActivity(primary.ExportZones, mock.Anything, mock.Anything).
		Return(activities.ZonesResult{Outcomes: map[string]int{activities.ExportPublished: 1}, Timing: testTiming}, nil)
	env.OnActivity(secondary.ApplyZones, mock.Anything, mock.Anything).
		Return(activities.ZonesResult{Outcomes: map[string]int{activities.AppliedNow: 1}}, nil)
	env.OnActivity(verifier.VerifyZones, mock.Anything, mock.Anything).Return(activities.ZonesResult{}, errors.New("unreachable"))
	result := env.runBatch(t, SyncZonesInput{Zones: []string{"a.example."}})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Contains(t, result.Error, "check from outside: ")
}
