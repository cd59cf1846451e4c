package dispatch

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// AnnounceHold has what the guard holds shown, to be decided about: it starts
// HoldChange, or has the running one look again. Errors are as with
// [Dispatcher.SyncZone].
func (d *Dispatcher) AnnounceHold(ctx context.Context, hold string) error {
	return d.signalHold(ctx, hold, workflows.SignalHeld, nil)
}

// DecideHold tells HoldChange what a person decided about exactly the changes
// that digest stands for.
func (d *Dispatcher) DecideHold(ctx context.Context, hold string, decision pdns.Decision, digest string) error {
	signal := workflows.SignalApprove
	if decision == pdns.Rejected {
		signal = workflows.SignalReject
	}
	return d.signalHold(ctx, hold, signal, workflows.HoldDecision{Digest: digest})
}

func (d *Dispatcher) signalHold(ctx context.Context, hold, signal string, payload any) error {
	_, err := d.signalWithStart(ctx, workflows.HoldChangeID(hold), signal, payload, holdOptions(hold), workflows.HoldChangeType, workflows.HoldChangeInput{Hold: hold})
	if err != nil {
		return fmt.Errorf("hold %s: %w", hold, err)
	}
	return nil
}

// ResumeHold starts HoldChange unless it runs.
func (d *Dispatcher) ResumeHold(ctx context.Context, hold string) error {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	options := holdOptions(hold)
	options.ID = workflows.HoldChangeID(hold)
	if _, err := d.Client.ExecuteWorkflow(ctx, options, workflows.HoldChangeType, workflows.HoldChangeInput{Hold: hold}); err != nil {
		return fmt.Errorf("hold %s: %w", hold, explain(err))
	}
	return nil
}

func holdOptions(hold string) client.StartWorkflowOptions {
	return startOptions("held: "+hold, temporal.NewSearchAttributeKeyKeyword(workflows.AttributeOutcome).ValueSet(workflows.OutcomeHeld))
}
