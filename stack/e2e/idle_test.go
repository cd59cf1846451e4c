package e2e

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
)

// waitCompared waits until each secondary was compared in full as often as a start asks for it: its worker does, and so does
// each primary once Consul has reported it for 2 s. One that comes later would mend what a test damages.
func (s *site) waitCompared(t testing.TB, primaries int) {
	t.Helper()
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	for _, n := range s.secondaries {
		until(t, soon, func() error {
			byItself, byConsul := 0, 0
			for _, run := range listed(t, c, fmt.Sprintf(`WorkflowId = "reconcile-secondary/%s" AND ExecutionStatus = "Completed"`, n.name)) {
				reasons, err := reasonsOf(t.Context(), c, run.GetExecution().GetWorkflowId(), run.GetExecution().GetRunId())
				if err != nil {
					return err
				}
				for _, reason := range reasons {
					switch {
					case strings.Contains(reason, "its worker started"):
						byItself++
					case strings.Contains(reason, "reachable in Consul"):
						byConsul++
					}
				}
			}
			return wants(byItself >= 1 && byConsul >= primaries, "%s was compared %d times for its own start and %d times for Consul", n.name, byItself, byConsul)
		})
	}
}

// reasonsOf are those of the requests that a run has got.
func reasonsOf(ctx context.Context, c client.Client, id, run string) (reasons []string, err error) {
	for events := c.GetWorkflowHistory(ctx, id, run, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		signal := event.GetWorkflowExecutionSignaledEventAttributes()
		if signal == nil {
			continue
		}
		var request struct {
			Reason string `json:"reason"`
		}
		if err := converter.GetDefaultDataConverter().FromPayloads(signal.GetInput(), &request); err != nil {
			return nil, err
		}
		reasons = append(reasons, request.Reason)
	}
	return reasons, nil
}

// waitIdle waits until nothing syncs or compares any more, what is given by name for certain: lists are a moment behind.
func (s *site) waitIdle(t testing.TB, zones ...string) {
	t.Helper()
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	for _, zone := range zones {
		until(t, soon, func() error {
			described, err := c.DescribeWorkflowExecution(t.Context(), "sync-zone/"+zone, "")
			var never *serviceerror.NotFound // a zone that changes among many goes in a batch
			if errors.As(err, &never) {
				return nil
			}
			state := described.GetWorkflowExecutionInfo().GetStatus()
			return cmp.Or(err, wants(state != enums.WORKFLOW_EXECUTION_STATUS_RUNNING, "the sync of %s is under way", zone))
		})
	}
	until(t, soon, func() error {
		running, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Namespace: s.env["TEMPORAL_NAMESPACE"],
			Query:     "WorkflowType IN ('SyncZone', 'SyncZones', 'ReconcileSecondary') AND ExecutionStatus = 'Running'",
		})
		return cmp.Or(err, wants(running.GetCount() == 0, "%d syncs and compares are under way", running.GetCount()))
	})
}
