package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// holdTest is one HoldChange over a hold that the test makes up.
type holdTest struct {
	*testsuite.TestWorkflowEnvironment
	held    activities.HoldReview
	decided []activities.DecideHoldInput
}

func newHoldTest(t *testing.T, held activities.HoldReview) *holdTest {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := &holdTest{TestWorkflowEnvironment: newEnvironment(&suite), held: held}
	env.RegisterWorkflow(HoldChange)
	env.RegisterActivity(&activities.Primary{})
	env.OnActivity(primary.ReviewHold, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.ReviewHoldInput) (activities.HoldReview, error) { return env.held, nil })
	env.OnActivity(primary.DecideHold, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.DecideHoldInput) (activities.DecideHoldResult, error) {
			env.decided = append(env.decided, in)
			if in.Digest != env.held.Digest {
				return activities.DecideHoldResult{}, nil
			}
			decided := env.held.Undecided
			env.held = activities.HoldReview{Approved: decided}
			if in.Decision == pdns.Rejected {
				env.held = activities.HoldReview{Rejected: decided}
			}
			return activities.DecideHoldResult{Decided: decided}, nil
		}).Maybe()
	return env
}

func (e *holdTest) after(wait time.Duration, do func()) { e.RegisterDelayedCallback(do, wait) }

func (e *holdTest) run(t *testing.T, hold string) HoldChangeResult {
	t.Helper()
	e.ExecuteWorkflow(HoldChange, HoldChangeInput{Hold: hold})
	require.NoError(t, e.GetWorkflowError())
	var result HoldChangeResult
	require.NoError(t, e.GetWorkflowResult(&result))
	return result
}

var twelve = activities.HoldReview{Open: 12, Undecided: 12, Digest: "d", Zones: []string{"a.example."}, Reason: "12 of 24 zones are gone"}

func TestHoldChangeIsOpenUntilApprovedAndPublished(t *testing.T) {
	env := newHoldTest(t, twelve)
	env.after(time.Hour, func() {
		value, err := env.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		var status HoldChangeResult
		require.NoError(t, value.Get(&status))
		require.Equal(t, OutcomeHeld, status.Outcome)
		require.Equal(t, twelve, status.Held)
		require.Contains(t, status.Markdown(), "and 11 more")
		env.SignalWorkflow(SignalApprove, HoldDecision{Digest: "another"})
	})
	env.after(2*time.Hour, func() {
		require.Equal(t, 12, env.held.Undecided, "a decision about something else decides nothing")
		env.SignalWorkflow(SignalApprove, HoldDecision{Digest: "d"})
	})
	env.after(3*time.Hour, func() { env.held = activities.HoldReview{} }) // published
	began := env.Now()
	result := env.run(t, "deletes")
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, &HoldDecided{Decision: pdns.Approved, Digest: "d", Decided: 12}, result.Decision)
	require.Greater(t, env.Now().Sub(began), 3*time.Hour)
	require.Equal(t, []activities.DecideHoldInput{
		{Hold: "deletes", Decision: pdns.Approved, Digest: "another"}, {Hold: "deletes", Decision: pdns.Approved, Digest: "d"},
	}, env.decided)
}

func TestHoldChangeEndsWithARejection(t *testing.T) {
	env := newHoldTest(t, twelve)
	env.after(time.Minute, func() { // both at once: the doubt wins
		env.SignalWorkflow(SignalApprove, HoldDecision{Digest: "d"})
		env.SignalWorkflow(SignalReject, HoldDecision{Digest: "d"})
	})
	result := env.run(t, "shrink/Example.org")
	require.Equal(t, "shrink/example.org.", result.Hold)
	require.Equal(t, OutcomeHeld, result.Outcome, "what is rejected stays held")
	require.Equal(t, 12, result.Held.Rejected)
	require.Contains(t, result.Decision.Error, "look at it again")
}

func TestHoldChangeEndsWhenNobodyAsksForItAnyMore(t *testing.T) {
	env := newHoldTest(t, twelve)
	env.after(10*time.Minute, func() { env.held = activities.HoldReview{} })
	began := env.Now()
	require.Equal(t, OutcomeInSync, env.run(t, "deletes").Outcome)
	require.LessOrEqual(t, env.Now().Sub(began), 12*time.Minute, "looked at every minute")
}

func TestHoldChangeLooksAgainWhenMoreIsHeld(t *testing.T) {
	env := newHoldTest(t, twelve)
	env.after(time.Second, func() {
		env.held = activities.HoldReview{}
		env.SignalWorkflow(SignalHeld, nil)
	})
	began := env.Now()
	env.run(t, "deletes")
	require.Less(t, env.Now().Sub(began), time.Minute)
}

func TestHoldChangeRefusesABadName(t *testing.T) {
	env := newHoldTest(t, twelve)
	env.ExecuteWorkflow(HoldChange, HoldChangeInput{Hold: "everything"})
	require.ErrorContains(t, env.GetWorkflowError(), `HoldChange needs {"hold":"deletes"}`)
}
