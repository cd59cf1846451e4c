package dispatch

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// attributeBytes is how much of a batch's zone names the search attribute
// carries: Temporal takes 2 KiB a value (frontend.searchAttributesSizeOfValueLimit).
const attributeBytes = 1800

// SyncZones has many zones synced in one batch. The same batch has the same
// name, so that dispatching it twice gives one run; another batch with the name
// of a running one would be lost, so the name must stand for all that is in it.
// Errors are as with [Dispatcher.SyncZone].
func (d *Dispatcher) SyncZones(ctx context.Context, batch string, in workflows.SyncZonesInput) error {
	trigger := orManual(in.Trigger)
	options := startOptions(fmt.Sprintf("sync %d zones (%s)", len(in.Zones), trigger),
		temporal.NewSearchAttributeKeyKeywordList(workflows.AttributeZone).ValueSet(fitting(in.Zones)),
		temporal.NewSearchAttributeKeyKeyword(workflows.AttributeTrigger).ValueSet(trigger))
	options.ID = workflows.SyncZonesID(batch)
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	if _, err := d.Client.ExecuteWorkflow(ctx, options, workflows.SyncZonesType, in); err != nil {
		return fmt.Errorf("sync %d zones: %w", len(in.Zones), explain(err))
	}
	return nil
}

// fitting returns as many of the first zones as the search attribute takes.
func fitting(zones []string) []string {
	size := 0
	for i, zone := range zones {
		if size += len(zone) + len(`"",`); size > attributeBytes {
			return zones[:i]
		}
	}
	return zones
}
