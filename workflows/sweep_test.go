package workflows

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// sweepTest is a check over zones in two parts, which are on hosts that tests
// make as they want.
type sweepTest struct {
	*syncTest
	synced []SyncZonesInput
}

func newSweepTest(t *testing.T, check Check, ids ...string) *sweepTest {
	t.Helper()
	env := &sweepTest{syncTest: newSyncTest(t, ids...)}
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: check.ID})
	for _, flow := range []any{CheckSignatures, CheckContent, EnforceNSEC3, SyncZones} {
		env.RegisterWorkflow(flow)
	}
	env.OnWorkflow(SyncZones, mock.Anything, mock.Anything).Return(func(_ workflow.Context, in SyncZonesInput) (SyncZonesResult, error) {
		env.synced = append(env.synced, in)
		return SyncZonesResult{Outcome: OutcomeInSync}, nil
	}).Maybe()
	env.OnActivity(checks.NoteCheck, mock.Anything, mock.Anything).Return(nil).Maybe()
	return env
}

// surveys has the primary list two parts of two zones, and what it is asked for.
func (e *sweepTest) surveys(activity any) {
	e.OnActivity(activity, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SurveyInput) (activities.SurveyResult, error) {
		result := activities.SurveyResult{Zones: 2, Outcomes: map[string]int{activities.SurveyedCurrent: 2}, Rules: pdns.SignatureRules{MinRemaining: time.Hour}}
		switch {
		case len(in.Zones) > 0:
			result.List = "again"
		case in.After == "":
			result.List, result.After = "first", "b."
		default:
			result.List = "last"
		}
		return result, nil
	})
}

// compares answers as wrong says for this host and list.
func (e *sweepTest) compares(activityName any, wrong func(host, list string) ([]string, error)) {
	e.OnActivity(activityName, mock.Anything, mock.Anything).Return(func(ctx context.Context, in activities.CompareInput) (activities.CompareResult, error) {
		zones, err := wrong(activity.GetInfo(ctx).TaskQueue, in.List)
		result := activities.CompareResult{States: map[string]int{"fresh": 2 - len(zones)}, Wrong: zones}
		if len(zones) > 0 {
			result.States["different"], result.Faults, result.Reason = len(zones), map[string]int{"different": len(zones)}, zones[0]+" differs"
		}
		return result, err
	})
}

func (e *sweepTest) run(t *testing.T, flow any, in CheckInput) CheckSignaturesResult {
	t.Helper()
	e.ExecuteWorkflow(flow, in)
	require.NoError(t, e.GetWorkflowError())
	var result CheckSignaturesResult
	require.NoError(t, e.GetWorkflowResult(&result))
	return result
}

func nothingOutside(e *sweepTest) {
	e.OnActivity(surveyor.VerifySignatures, mock.Anything, mock.Anything).Return(activities.CompareResult{}, nil)
}

func TestSweepFindsNothing(t *testing.T) {
	env := newSweepTest(t, SignatureCheck, "a", "b")
	env.surveys(surveyor.SurveySignatures)
	env.compares(secondary.CompareSignatures, func(string, string) ([]string, error) { return nil, nil })
	nothingOutside(env)
	result := env.run(t, CheckSignatures, CheckInput{})
	require.Equal(t, OutcomeInSync, result.Outcome, result.Error)
	require.Equal(t, 4, result.Zones)
	require.Equal(t, map[string]int{"fresh": 4}, result.Secondaries[1].States)
	require.Empty(t, result.Found)
	require.Empty(t, env.synced)
}

// A zone that is wrong on both secondaries is synced once, by force; what is
// right afterwards is repaired, what is not is left.
func TestSweepRepairs(t *testing.T) {
	env := newSweepTest(t, SignatureCheck, "a", "b")
	env.surveys(surveyor.SurveySignatures)
	env.compares(secondary.CompareSignatures, func(host, list string) ([]string, error) {
		switch {
		case list == "first":
			return []string{"a."}, nil
		case list == "again" && host == SecondaryHostQueue("b"):
			return []string{"a."}, nil
		}
		return nil, nil
	})
	env.OnActivity(surveyor.VerifySignatures, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.VerifySignaturesInput) (activities.CompareResult, error) {
		if in.List != "first" {
			require.Equal(t, in.List == "again", len(in.Zones) == 1 && in.Zones[0] == "b.")
			return activities.CompareResult{}, nil
		}
		return activities.CompareResult{Wrong: []string{"b."}, Faults: map[string]int{"bogus": 1}, Reason: "b. is bogus"}, nil
	})
	result := env.run(t, CheckSignatures, CheckInput{})
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, map[string]int{"different": 2, "bogus": 1}, result.Found)
	require.Equal(t, 2, result.Repaired)
	require.Equal(t, []string{"a."}, result.Left)
	require.Equal(t, []string{StateInSync, StateOutdated}, []string{result.Secondaries[0].State, result.Secondaries[1].State})
	require.Equal(t, []SyncZonesInput{{Zones: []string{"a.", "b."}, Trigger: TriggerSignatureCheck, Force: true, Unchecked: true}}, env.synced)
	require.Contains(t, result.Markdown(), "still wrong: a.")
}

// What primaries are at odds about is synced, which asks the one that published;
// where they still are, that is left.
func TestSweepOfContestedZones(t *testing.T) {
	for outcome, still := range map[string][]string{OutcomeInSync: nil, OutcomePartial: {"x."}} {
		env := newSweepTest(t, ContentCheck, "a")
		env.OnActivity(surveyor.SurveyContent, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SurveyInput) (activities.SurveyResult, error) {
			if len(in.Zones) > 0 {
				return activities.SurveyResult{List: "again", Contested: still}, nil
			}
			return activities.SurveyResult{List: "all", Zones: 2, Contested: []string{"x.", "y."}}, nil
		})
		env.compares(secondary.CompareContent, func(string, string) ([]string, error) { return nil, nil })
		result := env.run(t, CheckContent, CheckInput{})
		require.Equal(t, outcome, result.Outcome)
		require.Equal(t, map[string]int{"contested": 2}, result.Found)
		require.Equal(t, 2-len(still), result.Repaired)
		require.Equal(t, still, result.Left)
		require.Equal(t, []string{"x.", "y."}, env.synced[0].Zones)
	}
}

// A secondary whose worker does not answer is lagging, is not waited for again,
// and holds up nobody.
func TestSweepWithoutOneSecondary(t *testing.T) {
	env := newSweepTest(t, ContentCheck, "dead", "fine")
	env.surveys(surveyor.SurveyContent)
	asked := 0
	env.compares(secondary.CompareContent, func(host, list string) ([]string, error) {
		if host == SecondaryHostQueue("dead") {
			asked++
			return nil, temporal.NewNonRetryableApplicationError("dead", "Dead", nil)
		}
		return nil, nil
	})
	result := env.run(t, CheckContent, CheckInput{})
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateLagging, result.Secondaries[0].State)
	require.Equal(t, "dead", result.Secondaries[0].Error)
	require.Equal(t, map[string]int{"fresh": 4}, result.Secondaries[1].States)
	require.Equal(t, 1, asked)
}

func TestSweepReportsWhatNoSyncCanHelp(t *testing.T) {
	for outcome, test := range map[string]struct {
		found         activities.SurveyResult
		error, report string
	}{
		activities.SurveyedUnrenewable:  {activities.SurveyResult{Unrenewable: []string{"x."}}, "x.", "no better signatures of: x."},
		activities.SurveyedUnanswerable: {activities.SurveyResult{Unanswerable: []string{"x."}}, "ALIAS or LUA records, such as x.:", "secondaries cannot answer: x."},
	} {
		t.Run(outcome, func(t *testing.T) {
			env := newSweepTest(t, SignatureCheck, "a")
			test.found.List, test.found.Zones, test.found.Outcomes = "all", 1, map[string]int{outcome: 1}
			env.OnActivity(surveyor.SurveySignatures, mock.Anything, mock.Anything).Return(test.found, nil)
			env.compares(secondary.CompareSignatures, func(string, string) ([]string, error) { return nil, nil })
			nothingOutside(env)
			result := env.run(t, CheckSignatures, CheckInput{})
			require.Equal(t, OutcomePartial, result.Outcome)
			require.Contains(t, result.Error, test.error)
			require.Contains(t, result.Markdown(), test.report)
			require.Empty(t, env.synced)
		})
	}
}

// The whole of a check by hand, and a part of the zones by a schedule.
func TestCheckContentTakesItsShare(t *testing.T) {
	for sample, want := range map[int]int{0: 100, 20: 20} {
		env := newSweepTest(t, ContentCheck, "a")
		var share pdns.Share
		env.OnActivity(surveyor.SurveyContent, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SurveyInput) (activities.SurveyResult, error) {
			share = in.Share
			return activities.SurveyResult{}, nil
		})
		env.SetStartTime(time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC))
		require.Equal(t, OutcomeInSync, env.run(t, CheckContent, CheckInput{Sample: sample}).Outcome)
		require.Equal(t, pdns.Share{Percent: want, Turn: 20780}, share)
	}
}

func TestSweepWithoutSecondaries(t *testing.T) {
	env := newSweepTest(t, ContentCheck)
	require.Equal(t, OutcomeFailed, env.run(t, CheckContent, CheckInput{}).Outcome)
}

func TestEnforceNSEC3(t *testing.T) {
	env := newSweepTest(t, NSEC3Policy, "a")
	many := make([]string, 3)
	for i := range many {
		many[i] = fmt.Sprintf("z%d.", i)
	}
	env.OnActivity(denial.SetNSEC3, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SetNSEC3Input) (activities.SetNSEC3Result, error) {
		if in.After == "" {
			return activities.SetNSEC3Result{Primary: "p2", Zones: many[:2], Outcomes: map[string]int{"wanted": 2}, After: "z1."}, nil
		}
		return activities.SetNSEC3Result{Primary: "p2", Zones: many[2:], Outcomes: map[string]int{"wanted": 1, "failed": 1}, Failed: []string{"f."}, Reason: "f. failed"}, nil
	})
	env.ExecuteWorkflow(EnforceNSEC3, CheckInput{})
	require.NoError(t, env.GetWorkflowError())
	var result EnforceNSEC3Result
	require.NoError(t, env.GetWorkflowResult(&result))
	require.Equal(t, map[string]int{"wanted": 3, "failed": 1}, result.Outcomes)
	require.Equal(t, many, result.Zones)
	require.Equal(t, 3, result.Repaired)
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, "f. failed", result.Error)
	require.Equal(t, []SyncZonesInput{
		{Zones: many[:2], Trigger: TriggerNSEC3Policy, Primary: "p2", Unchecked: true}, {Zones: many[2:], Trigger: TriggerNSEC3Policy, Primary: "p2", Unchecked: true},
	}, env.synced)
}

func TestEnforceNSEC3WhereItIsOff(t *testing.T) {
	env := newSweepTest(t, NSEC3Policy, "a")
	env.OnActivity(denial.SetNSEC3, mock.Anything, mock.Anything).Return(activities.SetNSEC3Result{Off: true}, nil)
	env.ExecuteWorkflow(EnforceNSEC3, CheckInput{})
	var result EnforceNSEC3Result
	require.NoError(t, errors.Join(env.GetWorkflowError(), env.GetWorkflowResult(&result)))
	require.Equal(t, OutcomeSkipped, result.Outcome)
	require.Contains(t, result.Error, "nsec3.enforce")
}
