package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// fakeRuns is Temporal as a waiting activity sees it, with a run that ends when
// the test says so.
type fakeRuns struct {
	joins     atomic.Int32
	beats     atomic.Int32
	abandoned atomic.Bool
	end       chan error
	completed chan completion
}

type completion struct {
	result activities.JoinWorkflowResult
	err    error
}

func newFakeRuns() *fakeRuns {
	return &fakeRuns{end: make(chan error, 1), completed: make(chan completion, 1)}
}

func (f *fakeRuns) Join(_ context.Context, workflowType string, _ json.RawMessage) (activities.Run, error) {
	f.joins.Add(1)
	return activities.Run{WorkflowID: "the-check", RunID: "run of " + workflowType}, nil
}

func (f *fakeRuns) Result(ctx context.Context, run activities.Run) (json.RawMessage, error) {
	select {
	case err := <-f.end:
		return json.RawMessage(`{"outcome":"in-sync"}`), err
	case <-ctx.Done():
		f.completed <- completion{err: ctx.Err(), result: activities.JoinWorkflowResult{Run: run}}
		return nil, ctx.Err()
	}
}

func (f *fakeRuns) Beat(context.Context, []byte, any) error {
	f.beats.Add(1)
	if f.abandoned.Load() {
		return activities.ErrAbandoned
	}
	return nil
}

func (f *fakeRuns) Complete(_ context.Context, _ []byte, result any, err error) error {
	c := completion{err: err}
	if err == nil {
		c.result = result.(activities.JoinWorkflowResult)
	}
	f.completed <- c
	return nil
}

func join(t *testing.T, f *fakeRuns) {
	t.Helper()
	c := &activities.Checks{Runs: f}
	_, err := run[activities.JoinWorkflowResult](c, c.JoinWorkflow, activities.JoinWorkflowInput{Workflow: "CheckHealth", Input: json.RawMessage(`{}`)})
	require.ErrorIs(t, err, activity.ErrResultPending, "the method must not wait: it holds a slot")
}

func ended(t *testing.T, f *fakeRuns) completion {
	t.Helper()
	select {
	case c := <-f.completed:
		return c
	case <-time.After(20 * time.Second):
		t.Fatal("the activity never ends")
		return completion{}
	}
}

func TestJoinWorkflowEndsWithTheRun(t *testing.T) {
	f := newFakeRuns()
	join(t, f)
	require.Empty(t, f.completed)
	f.end <- nil
	c := ended(t, f)
	require.NoError(t, c.err)
	require.Equal(t, "run of CheckHealth", c.result.RunID)
	require.JSONEq(t, `{"outcome":"in-sync"}`, string(c.result.Result))
	require.EqualValues(t, 1, f.joins.Load())
}

// A run that failed is not tried again by those who waited for it.
func TestJoinWorkflowTellsThatTheRunFailed(t *testing.T) {
	f := newFakeRuns()
	join(t, f)
	f.end <- &temporal.WorkflowExecutionError{}
	var app *temporal.ApplicationError
	require.ErrorAs(t, ended(t, f).err, &app)
	require.True(t, app.NonRetryable())
	require.Equal(t, activities.ErrTypeRunFailed, app.Type())
}

func TestJoinWorkflowTriesAgainWhereTemporalDidNotAnswer(t *testing.T) {
	f := newFakeRuns()
	join(t, f)
	f.end <- errors.New("unavailable")
	var app *temporal.ApplicationError
	err := ended(t, f).err
	require.ErrorContains(t, err, "unavailable")
	require.False(t, errors.As(err, &app) && app.NonRetryable())
}

// Once nobody waits any more, neither does the goroutine.
func TestJoinWorkflowGivesUpWhenNobodyWaits(t *testing.T) {
	f := newFakeRuns()
	f.abandoned.Store(true)
	join(t, f)
	require.ErrorIs(t, ended(t, f).err, context.Canceled)
	require.EqualValues(t, 1, f.beats.Load())
}
