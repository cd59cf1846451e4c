package workflows

import (
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// batchStep is after how long a step of a batch is given to another worker, since
// the one that had it died.
const batchStep = 5 * time.Second

// attributeBytes is how much of a batch's zone names the search attribute
// carries: Temporal takes 2 KiB a value (frontend.searchAttributesSizeOfValueLimit).
const attributeBytes = 1800

// syncBatch has a batch of zones synced by a workflow of its own. It goes on when
// the one that asked for it ends before.
func syncBatch(ctx workflow.Context, name string, in SyncZonesInput) workflow.ChildWorkflowFuture {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            SyncZonesID(name),
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		WorkflowTaskTimeout:   batchStep,
		TypedSearchAttributes: temporal.NewSearchAttributes(BatchAttributes(in)...),
		StaticSummary:         fmt.Sprintf("sync %d zones (%s)", len(in.Zones), in.Trigger),
	})
	return workflow.ExecuteChildWorkflow(ctx, SyncZones, in)
}

// BatchAttributes are the search attributes of a batch: its trigger, and as many
// of its first zones as Temporal takes.
func BatchAttributes(in SyncZonesInput) []temporal.SearchAttributeUpdate {
	zones, size := in.Zones, 0
	for i, zone := range zones {
		if size += len(zone) + len(`"",`); size > attributeBytes {
			zones = zones[:i]
			break
		}
	}
	return []temporal.SearchAttributeUpdate{zoneAttribute.ValueSet(zones), triggerAttribute.ValueSet(in.Trigger)}
}
