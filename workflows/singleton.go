package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// checkResult is what a check returns, through a pointer to it. It embeds
// [CheckRun].
type checkResult[R any] interface {
	*R
	run() *CheckRun
	// Markdown renders the result for the web UI.
	Markdown() string
}

// singleton runs a check under its fixed ID, and under any other one hands the
// request to the run under that ID and returns its result. Temporal starts no
// second workflow of an ID that runs, so one is at work at a time, whoever
// starts it: a Schedule alone would not do, since it appends a timestamp to
// the ID, nor would a start by hand.
//
// round does the work once, for what is asked, and notes in result what it
// found. A request that comes meanwhile is served by the round under way;
// what it asks for beyond that gets one more round. A round that returns
// errGrown is called again in a run that goes on as new, with the same result.
func singleton[R any, P checkResult[R]](ctx workflow.Context, check Check, in CheckInput, result P, round func(workflow.Context, CheckInput) error) (R, error) {
	if workflow.GetInfo(ctx).WorkflowExecution.ID != check.ID {
		return forward[R](ctx, check, in)
	}
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (R, error) { return *result, nil }); err != nil {
		return *result, err
	}
	s := &singleRun{check: check, report: result, result: result.run(), requests: workflow.GetSignalChannel(ctx, SignalCheck), round: round}
	s.show = func(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, result.Markdown()) }
	if in.Carried != nil {
		if err := json.Unmarshal(in.Carried.Result, result); err != nil {
			return *result, err
		}
	}
	err := s.run(ctx, in)
	return *result, err
}

// singleRun is the state of one run of a check.
type singleRun struct {
	check Check
	// report is the whole result, result the part of it that every check has.
	report   any
	result   *CheckRun
	requests workflow.ReceiveChannel
	round    func(workflow.Context, CheckInput) error
	show     func(workflow.Context)
}

func (s *singleRun) run(ctx workflow.Context, in CheckInput) error {
	var asked, covered, came CheckInput
	if in.Carried != nil {
		asked, covered = in.Carried.Asked, in.Carried.Covered
		came = in
		came.Carried = nil
	} else {
		if err := s.begin(ctx, in); err != nil {
			return err
		}
		// The start and its first signal are one request, and so is all that has
		// come before the first round begins.
		asked = s.drain(in)
		s.beginRound(asked)
	}
	for {
		err := s.round(ctx, asked)
		switch {
		case err != nil && ctx.Err() != nil:
			return ctx.Err() // cancelled by an operator: a run that goes on would not know
		case errors.Is(err, errGrown):
			return s.goOn(ctx, s.drain(came), asked, covered)
		case err != nil:
			s.result.Outcome, s.result.Error = OutcomeFailed, failureText(err)
		default:
			covered = covered.with(asked)
		}
		var more bool
		asked, more = s.drain(came).beyond(covered)
		if !more {
			return s.end(ctx)
		}
		came = CheckInput{}
		s.beginRound(asked)
	}
}

func (s *singleRun) beginRound(asked CheckInput) {
	s.result.Rounds++
	if s.result.Rounds == 1 || asked.Fresh {
		s.result.Outcome, s.result.Error, s.result.Reason = OutcomeInSync, "", asked.Reason
		s.result.Found, s.result.Repaired = nil, 0
	}
}

// longestHistory is from how many octets of history on a round goes on in a run of
// its own: zones that are wrong are named there, and a history is to stay below a
// mebibyte, of which one part of the zones on two secondaries may take 420 KiB.
const longestHistory = 400 << 10

// errGrown is what a round returns whose rest is left to another run.
var errGrown = errors.New("the history is long enough")

func grown(ctx workflow.Context) bool {
	info := workflow.GetInfo(ctx)
	return info.GetCurrentHistorySize() > longestHistory || info.GetContinueAsNewSuggested()
}

// goOn has the round that serves asked go on in a fresh run, with the requests
// that came meanwhile.
func (s *singleRun) goOn(ctx workflow.Context, came, asked, covered CheckInput) error {
	report, err := json.Marshal(s.report)
	if err != nil {
		return err
	}
	came.Carried = &CarriedCheck{Result: report, Asked: asked, Covered: covered}
	ctx = workflow.WithWorkflowRunTimeout(ctx, max(s.result.left(ctx, s.check), time.Second)) // of all its runs together
	return workflow.NewContinueAsNewError(ctx, s.check.Type, came)
}

// left is how much of the check's time all of its runs together still have.
func (r *CheckRun) left(ctx workflow.Context, check Check) time.Duration {
	return check.Within - workflow.Now(ctx).Sub(r.StartedAt)
}

// begin notes what is known at the start, and gives a check that was started by
// hand the search attribute that the dispatcher gives to others.
func (s *singleRun) begin(ctx workflow.Context, in CheckInput) error {
	trigger := in.Trigger
	if trigger == "" {
		trigger = TriggerManual
	}
	s.result.RunID, s.result.StartedAt = workflow.GetInfo(ctx).WorkflowExecution.RunID, workflow.Now(ctx).UTC()
	s.result.Trigger = trigger
	if _, there := workflow.GetTypedSearchAttributes(ctx).GetKeyword(triggerAttribute); there {
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx, triggerAttribute.ValueSet(trigger))
}

// drain adds all requests that have arrived to asked.
func (s *singleRun) drain(asked CheckInput) CheckInput {
	for {
		var request CheckInput
		if !s.requests.ReceiveAsync(&request) {
			return asked
		}
		asked = asked.with(request)
	}
}

// end tells how the check went: to people, and to the metrics of this host. A
// count that is lost is no reason to fail.
func (s *singleRun) end(ctx workflow.Context) error {
	s.result.Phase, s.result.EndedAt = "", workflow.Now(ctx).UTC()
	s.show(ctx)
	ended := activities.NoteCheckInput{
		Check: s.check.ID, Outcome: s.result.Outcome, EndedAt: s.result.EndedAt, Found: s.result.Found, Repaired: s.result.Repaired,
	}
	if err := workflow.ExecuteLocalActivity(onLocalWorker(ctx), checks.NoteCheck, ended).Get(ctx, nil); err != nil {
		workflow.GetLogger(ctx).Warn("how the check ended could not be counted", "check", s.check.ID, "error", err)
	}
	return workflow.UpsertTypedSearchAttributes(ctx, outcomeAttribute.ValueSet(s.result.Outcome))
}

// forward hands a request to the run at work, or has it started, waits for it and
// returns its result.
func forward[R any](ctx workflow.Context, check Check, in CheckInput) (R, error) {
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("one run is at work at a time: waiting for workflow **%s**", check.ID))
	var result R
	var joined activities.JoinWorkflowResult
	err := join(ctx, check.Type, in, check.Within+time.Minute).Get(ctx, &joined)
	if err == nil {
		err = json.Unmarshal(joined.Result, &result)
	}
	if err == nil {
		workflow.SetCurrentDetails(ctx, fmt.Sprintf("served by run **%s** of workflow **%s**", joined.RunID, check.ID))
	}
	return result, err
}

// join has a workflow run that may be running already, or adds to what is asked
// of it, and waits for its result.
func join(ctx workflow.Context, workflowType string, in any, within time.Duration) workflow.Future {
	input, err := json.Marshal(in)
	if err != nil { // an input of ours is always JSON
		panic(err)
	}
	return workflow.ExecuteActivity(joining(ctx, workflowType, within), checks.JoinWorkflow,
		activities.JoinWorkflowInput{Workflow: workflowType, Input: input})
}
