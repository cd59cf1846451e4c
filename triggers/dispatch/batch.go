package dispatch

import (
	"context"
	"fmt"

	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// SyncZones has many zones synced in one batch. The same batch has the same
// name, so that dispatching it twice gives one run; another batch with the name
// of a running one would be lost, so the name must stand for all that is in it.
// Errors are as with [Dispatcher.SyncZone].
func (d *Dispatcher) SyncZones(ctx context.Context, batch string, in workflows.SyncZonesInput) error {
	in.Trigger = orManual(in.Trigger)
	options := startOptions(fmt.Sprintf("sync %d zones (%s)", len(in.Zones), in.Trigger), workflows.BatchAttributes(in)...)
	options.ID = workflows.SyncZonesID(batch)
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if _, err := d.Client.ExecuteWorkflow(ctx, options, workflows.SyncZonesType, in); err != nil {
		return fmt.Errorf("sync %d zones: %w", len(in.Zones), explain(err))
	}
	return nil
}
