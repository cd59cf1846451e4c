package workflows

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// continued runs a check whose history has grown, and returns what it hands to the next run.
func (e *sweepTest) continued(t *testing.T, flow any, in CheckInput) CheckInput {
	t.Helper()
	e.SetCurrentHistorySize(longestHistory + 1)
	e.ExecuteWorkflow(flow, in)
	handed, _ := handedOn[CheckInput](t, e)
	require.NotNil(t, handed.Carried)
	return handed
}

// A history that has grown ends with a part of the zones. The run that goes on does the rest for the same secondaries, knows
// what was found, and serves what was asked for meanwhile.
func TestCheckGoesOnAsNew(t *testing.T) {
	var surveyed []activities.SurveyInput
	var compared []string
	var mu sync.Mutex
	prepare := func(env *sweepTest, meanwhile func()) {
		surveyed, compared = nil, nil
		env.surveys(surveyor.SurveyContent)
		env.OnActivity(secondary.CompareContent, mock.Anything, mock.Anything).Return(func(ctx context.Context, in activities.CompareInput) (activities.CompareResult, error) {
			host := activity.GetInfo(ctx).TaskQueue
			mu.Lock()
			compared = append(compared, host+" "+in.List)
			mu.Unlock()
			result := activities.CompareResult{States: map[string]int{"same": 2}}
			if host == SecondaryHostQueue("b") && in.List != "last" {
				result = activities.CompareResult{States: map[string]int{"different": 2}, Faults: map[string]int{"different": 2}, Wrong: []string{"a.", "b."}, Reason: "a. differs"}
			}
			return result, nil
		})
		env.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, args converter.EncodedValues) {
			if info.ActivityType.Name == "SurveyContent" {
				var in activities.SurveyInput
				require.NoError(t, args.Get(&in))
				if surveyed = append(surveyed, in); len(surveyed) == 1 && meanwhile != nil {
					meanwhile()
				}
			}
		})
	}
	env := newSweepTest(t, ContentCheck, "a", "b")
	prepare(env, func() { env.SignalWorkflow(SignalCheck, CheckInput{Sample: 50, Reason: "more"}) })
	day := time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)
	env.SetStartTime(day)
	handed := env.continued(t, CheckContent, CheckInput{Sample: 20, Reason: "daily"})
	require.Len(t, surveyed, 2, "a part, and its wrong zones again")
	require.Equal(t, CheckInput{Sample: 20, Reason: "daily"}, handed.Carried.Asked)
	require.Equal(t, 50, handed.Sample)

	again := newSweepTest(t, ContentCheck, "c")
	prepare(again, nil)
	again.SetStartTime(day.Add(time.Minute))
	again.ExecuteWorkflow(CheckContent, handed)
	require.NoError(t, again.GetWorkflowError())
	today := day.Unix() / (24 * 60 * 60)
	require.Equal(t, activities.SurveyInput{After: "b.", Share: pdns.Share{Percent: 20, Turn: today}}, surveyed[0])
	require.ElementsMatch(t, []string{SecondaryHostQueue("a") + " last", SecondaryHostQueue("b") + " last"}, compared[:2])
	require.Equal(t, activities.SurveyInput{Share: pdns.Share{Percent: 50, Turn: today}}, surveyed[1], "what was asked for meanwhile")

	alone := newSweepTest(t, ContentCheck, "c")
	prepare(alone, nil)
	handed.Sample = 0
	result := alone.run(t, CheckContent, handed)
	require.Len(t, surveyed, 1, "nothing more was asked for")
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, 4, result.Zones)
	require.Equal(t, 1, result.Rounds)
	require.Equal(t, day, result.StartedAt)
	require.Equal(t, []string{"a.", "b."}, result.Left)
	require.Equal(t, map[string]int{"different": 2}, result.Found)
	require.Equal(t, []SweptSecondary{
		{ID: "a", State: StateInSync, Swept: Swept{States: map[string]int{"same": 4}}},
		{ID: "b", State: StateOutdated, Swept: Swept{States: map[string]int{"different": 2, "same": 2}, Found: 2, Left: 2, Reason: "a. differs"}},
	}, result.Secondaries)
	require.Nil(t, result.Rest)
}

// What is wrong only in a later run is reported there.
func TestCheckGoesOnAsNewWithoutFaults(t *testing.T) {
	prepare := func(env *sweepTest) {
		env.surveys(surveyor.SurveyContent)
		env.compares(secondary.CompareContent, func(_, list string) ([]string, error) {
			if list == "last" {
				return []string{"d."}, nil
			}
			return nil, nil
		})
	}
	env := newSweepTest(t, ContentCheck, "a")
	prepare(env)
	handed := env.continued(t, CheckContent, CheckInput{})
	again := newSweepTest(t, ContentCheck)
	prepare(again)
	result := again.run(t, CheckContent, handed)
	require.Equal(t, OutcomeInSync, result.Outcome, result.Error)
	require.Equal(t, map[string]int{"different": 1}, result.Found)
	require.Equal(t, 1, result.Repaired)

	policy := newSweepTest(t, NSEC3Policy, "a")
	policy.OnActivity(denial.SetNSEC3, mock.Anything, mock.Anything).Return(
		activities.SetNSEC3Result{Zones: []string{"b."}, Outcomes: map[string]int{"wanted": 1}}, nil)
	rest, err := json.Marshal(EnforceNSEC3Result{After: "a."})
	require.NoError(t, err)
	policy.ExecuteWorkflow(EnforceNSEC3, CheckInput{Carried: &CarriedCheck{Result: rest}})
	require.NoError(t, policy.GetWorkflowError())
}

// A check that was cancelled ends, and does not go on as new: the next run would not know.
func TestCheckThatWasCancelledDoesNotGoOn(t *testing.T) {
	env := newSweepTest(t, ContentCheck, "a")
	env.surveys(surveyor.SurveyContent)
	env.compares(secondary.CompareContent, func(string, string) ([]string, error) {
		env.CancelWorkflow()
		return nil, nil
	})
	env.SetCurrentHistorySize(longestHistory + 1)
	env.ExecuteWorkflow(CheckContent, CheckInput{})
	var cancelled *temporal.CanceledError
	require.ErrorAs(t, env.GetWorkflowError(), &cancelled)
}

// All runs of a check together have the time that one has.
func TestCheckGoesOnWithinItsTime(t *testing.T) {
	env := newSweepTest(t, ContentCheck, "a")
	env.surveys(surveyor.SurveyContent)
	env.compares(secondary.CompareContent, func(string, string) ([]string, error) { return nil, nil })
	env.SetCurrentHistorySize(longestHistory + 1)
	started := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	env.SetStartTime(started.Add(time.Hour))
	carried, err := json.Marshal(CheckContentResult{SweepResult{CheckRun: CheckRun{StartedAt: started, RunID: "first"}}})
	require.NoError(t, err)
	env.ExecuteWorkflow(CheckContent, CheckInput{Carried: &CarriedCheck{Result: carried}})
	_, next := handedOn[CheckInput](t, env)
	require.InDelta(t, ContentCheck.Within-time.Hour, next.WorkflowRunTimeout, float64(time.Minute))
}

func TestNSEC3PolicyGoesOnAsNew(t *testing.T) {
	var asked []string
	prepare := func(env *sweepTest) {
		asked = nil
		env.OnActivity(denial.SetNSEC3, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.SetNSEC3Input) (activities.SetNSEC3Result, error) {
			asked = append(asked, in.After)
			result := activities.SetNSEC3Result{Primary: "p", Zones: []string{"b."}, Outcomes: map[string]int{"wanted": 1}}
			if in.After == "" {
				result.Zones, result.After = []string{"a."}, "a."
			}
			return result, nil
		})
	}
	env := newSweepTest(t, NSEC3Policy, "a")
	prepare(env)
	handed := env.continued(t, EnforceNSEC3, CheckInput{})
	require.Equal(t, []string{""}, asked)

	again := newSweepTest(t, NSEC3Policy, "a")
	prepare(again)
	again.ExecuteWorkflow(EnforceNSEC3, handed)
	require.NoError(t, again.GetWorkflowError())
	var result EnforceNSEC3Result
	require.NoError(t, again.GetWorkflowResult(&result))
	require.Equal(t, []string{"a."}, asked)
	require.Equal(t, []string{"a.", "b."}, result.Zones)
	require.Equal(t, 2, result.Repaired)
	require.Equal(t, map[string]int{"wanted": 2}, result.Outcomes)
	require.Empty(t, result.After)
}
