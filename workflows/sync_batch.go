package workflows

import (
	"fmt"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/workflow"
)

// syncBatch has a batch of zones synced by a workflow of its own. It goes on when
// the one that asked for it ends before.
func syncBatch(ctx workflow.Context, name string, in SyncZonesInput) workflow.ChildWorkflowFuture {
	ctx = workflow.WithChildOptions(ctx, workflow.ChildWorkflowOptions{
		WorkflowID:            SyncZonesID(name),
		WorkflowIDReusePolicy: enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		ParentClosePolicy:     enumspb.PARENT_CLOSE_POLICY_ABANDON,
		StaticSummary:         fmt.Sprintf("sync %d zones (%s)", len(in.Zones), in.Trigger),
	})
	return workflow.ExecuteChildWorkflow(ctx, SyncZones, in)
}
