package dispatch

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// Check has a check run: it starts it under its fixed ID, or adds to what is
// asked of the run at work. It returns the ID of the run that serves the
// request once Temporal has it stored. Errors are as with
// [Dispatcher.SyncZone].
func (d *Dispatcher) Check(ctx context.Context, check workflows.Check, in workflows.CheckInput) (runID string, err error) {
	in.Trigger = orManual(in.Trigger)
	options := startOptions(fmt.Sprintf("%s (%s)", check.ID, in.Trigger),
		temporal.NewSearchAttributeKeyKeyword(workflows.AttributeTrigger).ValueSet(in.Trigger))
	options.StaticDetails, options.WorkflowRunTimeout = in.Reason, check.Within
	runID, err = d.signalWithStart(ctx, check.ID, workflows.SignalCheck, in, options, check.Type, in)
	if err != nil {
		return "", fmt.Errorf("start %s: %w", check.ID, err)
	}
	return runID, nil
}
