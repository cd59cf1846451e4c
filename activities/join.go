package activities

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
)

// Run is one run of a workflow.
type Run struct {
	WorkflowID string `json:"workflow_id"`
	RunID      string `json:"run_id"`
}

// Runs starts workflows of which one runs at a time, and waits for them.
type Runs interface {
	// Join starts the workflow of this type that input asks for, or signals the
	// one that runs, and returns the run that serves the request once Temporal
	// has taken it.
	Join(ctx context.Context, workflowType string, input json.RawMessage) (Run, error)
	// Result waits until the run has ended and returns its result; a
	// [*temporal.WorkflowExecutionError] when it failed.
	Result(ctx context.Context, run Run) (json.RawMessage, error)
	// Beat is the heartbeat of an activity that has returned and not ended;
	// [ErrAbandoned] when nobody waits for it any more.
	Beat(ctx context.Context, token []byte, details any) error
	// Complete ends such an activity.
	Complete(ctx context.Context, token []byte, result any, err error) error
}

// Checks holds what the activities about checks need.
type Checks struct {
	Runs    Runs
	Metrics *CheckMetrics
}

// JoinWorkflowInput asks for a run of a workflow.
type JoinWorkflowInput struct {
	// Workflow is the workflow's type, Input its one argument.
	Workflow string          `json:"workflow"`
	Input    json.RawMessage `json:"input"`
}

// JoinWorkflowResult is which run served the request, and its result.
type JoinWorkflowResult struct {
	Run
	Result json.RawMessage `json:"result"`
}

// JoinWorkflow has a workflow run of which one runs at a time, joining the
// running one, and ends with its result.
//
// The method returns at once and a goroutine waits: on this queue a hundred
// waiting activities would leave no worker for what they wait for. Doing it
// twice is harmless: a second attempt waits for the run that the first one
// joined, or, where it did not come to tell, joins again.
func (c *Checks) JoinWorkflow(ctx context.Context, in JoinWorkflowInput) (JoinWorkflowResult, error) {
	var run Run
	if !activity.HasHeartbeatDetails(ctx) || activity.GetHeartbeatDetails(ctx, &run) != nil {
		var err error
		if run, err = c.Runs.Join(ctx, in.Workflow, in.Input); err != nil {
			return JoinWorkflowResult{}, classify(fmt.Errorf("join workflow %s: %w", in.Workflow, err))
		}
	}
	activity.RecordHeartbeat(ctx, run)
	info := activity.GetInfo(ctx)
	waiting, cancel := context.WithDeadline(context.WithoutCancel(ctx), info.Deadline)
	go func() {
		defer cancel()
		c.await(waiting, cancel, info.TaskToken, run)
	}()
	return JoinWorkflowResult{}, activity.ErrResultPending
}

// await waits for the run and completes the activity with its result. When this
// process ends first, the missing heartbeats have Temporal begin another attempt.
func (c *Checks) await(ctx context.Context, cancel func(), token []byte, run Run) {
	ended := make(chan struct{})
	go c.beatUntil(ctx, ended, cancel, token, run)
	result, err := c.Runs.Result(ctx, run)
	close(ended)
	if ctx.Err() != nil {
		return
	}
	var failed *temporal.WorkflowExecutionError
	switch {
	case errors.As(err, &failed):
		message := fmt.Sprintf("run %s of workflow %s: %v", run.RunID, run.WorkflowID, failed)
		err = temporal.NewNonRetryableApplicationError(message, ErrTypeRunFailed, err)
	case err != nil:
		err = fmt.Errorf("wait for run %s of workflow %s: %w", run.RunID, run.WorkflowID, err)
	}
	// A completion that Temporal does not take is made up for by another attempt,
	// since the heartbeats have ended.
	_ = c.Runs.Complete(ctx, token, JoinWorkflowResult{Run: run, Result: result}, err)
}

// beatUntil records heartbeats until the run has ended. It cancels the wait once
// nobody waits any more.
func (c *Checks) beatUntil(ctx context.Context, ended <-chan struct{}, cancel func(), token []byte, run Run) {
	tick := time.NewTicker(heartbeatEvery)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := c.Runs.Beat(ctx, token, run); errors.Is(err, ErrAbandoned) {
				cancel()
				return
			}
		}
	}
}

// ErrAbandoned says that nobody waits for an activity any more.
var ErrAbandoned = errors.New("nobody waits for this activity any more")

// NoteCheckInput is how a check ended.
type NoteCheckInput struct {
	// Check is the check's fixed workflow ID.
	Check   string    `json:"check"`
	Outcome string    `json:"outcome"`
	EndedAt time.Time `json:"ended_at"`
	// Found counts what was wrong, by kind, Repaired what is right again.
	Found    map[string]int `json:"found,omitempty"`
	Repaired int            `json:"repaired,omitempty"`
}

// NoteCheck counts a check that has ended in the metrics of this host. Done
// twice it is counted twice, which only a host that failed in between does.
func (c *Checks) NoteCheck(_ context.Context, in NoteCheckInput) error {
	c.Metrics.ended(in)
	return nil
}
