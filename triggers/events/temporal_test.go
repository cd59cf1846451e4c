package events

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

func dialTemporal(t *testing.T) client.Client {
	t.Helper()
	c, err := temporal.Dial(t.Context(), temporal.Config{
		Address: stack.Env("TEMPORAL_ADDRESS"), Namespace: stack.Env("TEMPORAL_NAMESPACE"),
		TLS: tlsconf.Files{
			CA: stack.Env("TEMPORAL_TLS_CA"), ServerName: "localhost",
			Cert: filepath.Join(stack.Dir(), "pki", "primary.crt"), Key: filepath.Join(stack.Dir(), "pki", "primary.key"),
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// TestIntoTemporal follows events from NATS into Temporal: before the search
// attributes exist, after, and through an outage of Temporal.
func TestIntoTemporal(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	c := dialTemporal(t)
	r := start(t, js, &dispatch.Dispatcher{Client: c, Timeout: 3 * time.Second}) // gives up soon, so that there are many failures
	arrived := func(zone string) bool {
		described, err := c.DescribeWorkflow(t.Context(), workflows.SyncZoneID(zone), "")
		return err == nil && described.Status == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	}

	publishZone(t, js, "early.example.")
	eventually.True(t, "the early event to be given back", func() bool { return r.count("retried") > 0 })
	_, err := temporal.EnsureSearchAttributes(t.Context(), c, "default", temporal.Attributes{
		workflows.AttributeZone:      enums.INDEXED_VALUE_TYPE_KEYWORD_LIST,
		workflows.AttributeSecondary: enums.INDEXED_VALUE_TYPE_KEYWORD,
		workflows.AttributeTrigger:   enums.INDEXED_VALUE_TYPE_KEYWORD,
		workflows.AttributeOutcome:   enums.INDEXED_VALUE_TYPE_KEYWORD,
	})
	if err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the early event in Temporal", func() bool { return arrived("early.example.") })

	stack.Kill(t, "temporal")
	const zones = 100
	for n := range zones {
		publishZone(t, js, fmt.Sprintf("z%d.example.", n))
	}
	before := r.count("retried")
	eventually.True(t, "more failures than events may be under way", func() bool { return r.count("retried") > before+maxInFlight })
	if n := left(t, js, broker.StreamEvents); n != zones {
		t.Errorf("%d of %d events left while Temporal is away", n, zones)
	}
	stack.StartProc(t, "temporal")
	back := time.Now()
	empties(t, js)
	if took := time.Since(back); took > 20*time.Second {
		t.Errorf("the events took %s after Temporal's return", took)
	}
	for n := range zones { // in a sync of its own or in a batch
		zone := fmt.Sprintf("z%d.example.", n)
		eventually.True(t, zone+" in Temporal", func() bool {
			found, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
				Query: fmt.Sprintf("%s = %q AND ExecutionStatus = 'Running'", workflows.AttributeZone, zone),
			})
			return err == nil && found.GetCount() > 0
		})
	}
	if n := r.count("dead"); n != 0 {
		t.Errorf("%v dead", n)
	}
}
