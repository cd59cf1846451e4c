package main

import (
	"context"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/converter"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// recallChecks has the metrics of a process that has just started show when each
// check last succeeded, as Temporal remembers it: some run once a day only, and
// an alert on a series that is not there never fires.
func (p *primary) recallChecks(ctx context.Context, metrics *activities.CheckMetrics) {
	if temporal.WaitReady(ctx, p.temporal, p.conf.Temporal.Namespace, p.logger) != nil {
		return // stopped
	}
	for _, check := range workflows.Checks {
		last, err := p.temporal.DescribeWorkflowExecution(ctx, check.ID, "")
		if err != nil {
			continue // it never ran, or long ago
		}
		info := last.GetWorkflowExecutionInfo()
		var outcome string
		attribute := info.GetSearchAttributes().GetIndexedFields()[workflows.AttributeOutcome]
		if attribute == nil || converter.GetDefaultDataConverter().FromPayload(attribute, &outcome) != nil {
			continue
		}
		if info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED {
			metrics.Recall(activities.NoteCheckInput{Check: check.ID, Outcome: outcome, EndedAt: info.GetCloseTime().AsTime()})
		}
	}
}
