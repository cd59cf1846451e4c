package workflows

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// drill is a check that does nothing but take a minute a round.
var drill = Check{Type: "checkDrill", ID: "drill", Within: time.Hour}

type drillResult struct {
	CheckRun
	// Did is what each round was asked for.
	Did []CheckInput `json:"did"`
}

func (r drillResult) Markdown() string { return r.markdown("drill") }

// errDrill is what the round for this reason ends with.
var errDrill = errors.New("the primary does not answer")

func checkDrill(ctx workflow.Context, in CheckInput) (drillResult, error) {
	var result drillResult
	return singleton(ctx, drill, in, &result, func(ctx workflow.Context, asked CheckInput) error {
		result.Did = append(result.Did, asked)
		err := workflow.Sleep(ctx, time.Minute)
		if asked.Reason == "fail" {
			err = errDrill
		}
		return err
	})
}

func newDrill(t *testing.T, id string) *testsuite.TestWorkflowEnvironment {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := newEnvironment(&suite)
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: id})
	env.RegisterWorkflow(checkDrill)
	env.RegisterActivity(&activities.Checks{})
	return env
}

// run starts the check with in and signals requests half a minute later, in its
// first round.
func run(t *testing.T, in CheckInput, requests ...CheckInput) (drillResult, *activities.NoteCheckInput) {
	t.Helper()
	env := newDrill(t, drill.ID)
	var noted *activities.NoteCheckInput
	env.OnActivity(checks.NoteCheck, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.NoteCheckInput) error {
		noted = &in
		return nil
	})
	env.RegisterDelayedCallback(func() {
		for _, request := range requests {
			env.SignalWorkflow(SignalCheck, request)
		}
	}, 30*time.Second)
	env.ExecuteWorkflow(checkDrill, in)
	require.NoError(t, env.GetWorkflowError())
	var result drillResult
	require.NoError(t, env.GetWorkflowResult(&result))
	return result, noted
}

func TestCheckRoundServesRequestsThatComeMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		in       CheckInput
		requests []CheckInput
		did      []CheckInput
	}{
		"nothing more": {requests: []CheckInput{{}, {Trigger: TriggerManual}}, did: []CheckInput{{}}},
		"content that the round had not": {
			requests: []CheckInput{{Content: true}, {Content: true}}, did: []CheckInput{{}, {Content: true}},
		},
		"content that the round had": {
			in: CheckInput{Content: true}, requests: []CheckInput{{Content: true}}, did: []CheckInput{{Content: true}},
		},
		"both, one had": {
			in:       CheckInput{Content: true},
			requests: []CheckInput{{Content: true, Signatures: true}}, did: []CheckInput{{Content: true}, {Signatures: true}},
		},
		"a fresh round": {requests: []CheckInput{{Fresh: true, Reason: "lost"}}, did: []CheckInput{{}, {Fresh: true, Reason: "lost"}}},
	} {
		t.Run(name, func(t *testing.T) {
			result, noted := run(t, c.in, c.requests...)
			require.Equal(t, c.did, result.Did)
			require.Equal(t, len(c.did), result.Rounds)
			require.Equal(t, OutcomeInSync, result.Outcome)
			require.NotEmpty(t, result.RunID)
			require.Equal(t, activities.NoteCheckInput{Check: drill.ID, Outcome: OutcomeInSync, EndedAt: result.EndedAt}, *noted)
		})
	}
}

func TestCheckThatFailsSaysSo(t *testing.T) {
	result, noted := run(t, CheckInput{Reason: "fail"})
	require.Equal(t, OutcomeFailed, result.Outcome)
	require.Equal(t, errDrill.Error(), result.Error)
	require.Equal(t, OutcomeFailed, noted.Outcome)
}

// What a round that failed was to do is not done: who asks for it meanwhile gets another one.
func TestCheckRoundThatFailsServesNobody(t *testing.T) {
	result, _ := run(t, CheckInput{Reason: "fail", All: true}, CheckInput{All: true, Reason: "again"})
	require.Equal(t, []CheckInput{{Reason: "fail", All: true}, {All: true, Reason: "again"}}, result.Did)
}

func TestCheckUnderAnyOtherIDHandsOver(t *testing.T) {
	env := newDrill(t, "drill-2026-01-01T00:00:00Z")
	served := drillResult{CheckRun: CheckRun{RunID: "the run at work", Outcome: OutcomePartial}}
	result, err := json.Marshal(served)
	require.NoError(t, err)
	env.OnActivity(checks.JoinWorkflow, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.JoinWorkflowInput) (activities.JoinWorkflowResult, error) {
			require.Equal(t, drill.Type, in.Workflow)
			require.JSONEq(t, `{"content":true}`, string(in.Input))
			return activities.JoinWorkflowResult{Run: activities.Run{WorkflowID: drill.ID, RunID: served.RunID}, Result: result}, nil
		}).Once()
	env.ExecuteWorkflow(checkDrill, CheckInput{Content: true})
	require.NoError(t, env.GetWorkflowError())
	var got drillResult
	require.NoError(t, env.GetWorkflowResult(&got))
	require.Equal(t, served, got)
	env.AssertExpectations(t)
}

func TestCheckUnderAnyOtherIDTellsThatTheRunFailed(t *testing.T) {
	env := newDrill(t, "by hand")
	env.OnActivity(checks.JoinWorkflow, mock.Anything, mock.Anything).Return(activities.JoinWorkflowResult{},
		temporal.NewNonRetryableApplicationError("run 7 of workflow drill: terminated", activities.ErrTypeRunFailed, nil))
	env.ExecuteWorkflow(checkDrill, CheckInput{})
	require.ErrorContains(t, env.GetWorkflowError(), "run 7 of workflow drill: terminated")
}
