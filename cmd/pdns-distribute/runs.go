package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// runs lets activities start workflows through the one dispatcher and wait for
// them. It implements [activities.Runs].
type runs struct {
	dispatcher *dispatch.Dispatcher
	client     client.Client
}

func (r runs) Join(ctx context.Context, workflowType string, input json.RawMessage) (activities.Run, error) {
	if check, ok := workflows.CheckOf(workflowType); ok {
		var in workflows.CheckInput
		if err := json.Unmarshal(input, &in); err != nil {
			return activities.Run{}, err
		}
		id, err := r.dispatcher.Check(ctx, check, in)
		return activities.Run{WorkflowID: check.ID, RunID: id}, err
	}
	if workflowType != workflows.ReconcileSecondaryType {
		return activities.Run{}, fmt.Errorf("workflows of type %s are not joined", workflowType)
	}
	var in workflows.ReconcileSecondaryInput
	if err := json.Unmarshal(input, &in); err != nil {
		return activities.Run{}, err
	}
	id, err := r.dispatcher.JoinReconcile(ctx, in)
	return activities.Run{WorkflowID: workflows.ReconcileSecondaryID(in.Secondary), RunID: id}, err
}

func (r runs) Result(ctx context.Context, run activities.Run) (json.RawMessage, error) {
	var result json.RawMessage
	err := r.client.GetWorkflow(ctx, run.WorkflowID, run.RunID).Get(ctx, &result)
	return result, err
}

func (r runs) Beat(ctx context.Context, token []byte, details any) error {
	err := r.client.RecordActivityHeartbeat(ctx, token, details)
	var gone *serviceerror.NotFound
	var cancelled *temporal.CanceledError
	if errors.As(err, &gone) || errors.As(err, &cancelled) {
		return fmt.Errorf("%w: %w", activities.ErrAbandoned, err)
	}
	return err
}

func (r runs) Complete(ctx context.Context, token []byte, result any, err error) error {
	return r.client.CompleteActivity(ctx, token, result, err)
}
