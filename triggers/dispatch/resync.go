package dispatch

import (
	"context"
	"fmt"

	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// Updater is the part of Temporal's [client.Client] that waiting needs.
type Updater interface {
	NewWithStartWorkflowOperation(options client.StartWorkflowOptions, workflow any, args ...any) client.WithStartWorkflowOperation
	UpdateWithStartWorkflow(ctx context.Context, options client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error)
}

// ResyncZone has a zone synced now and returns once every secondary serves its
// newest version or is lagging. It joins the running sync where there is
// one. Temporal takes ten such waits a zone at a time.
func ResyncZone(ctx context.Context, updater Updater, in workflows.SyncZoneInput) (workflows.SyncZoneResult, error) {
	in.Trigger = orManual(in.Trigger)
	options := zoneOptions(in)
	options.ID = workflows.SyncZoneID(in.Zone)
	handle, err := updater.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: updater.NewWithStartWorkflowOperation(options, workflows.SyncZoneType, in),
		UpdateOptions: client.UpdateWorkflowOptions{
			UpdateName: workflows.UpdateSync, WaitForStage: client.WorkflowUpdateStageCompleted,
			Args: []any{workflows.ZoneChange{Trigger: in.Trigger, Primary: in.Primary}},
		},
	})
	var result workflows.SyncZoneResult
	if err == nil {
		err = handle.Get(ctx, &result)
	}
	if err != nil {
		return workflows.SyncZoneResult{}, fmt.Errorf("resync zone %s: %w", in.Zone, explain(err))
	}
	return result, nil
}
