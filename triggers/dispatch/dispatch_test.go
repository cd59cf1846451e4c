package dispatch_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	itemporal "github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// stack is a real Temporal for the tests of this package.
var stack *stacktest.Stack

func TestMain(m *testing.M) { stacktest.Main(m, &stack, "temporal") }

func dial(t *testing.T, role string) client.Client {
	t.Helper()
	c, err := itemporal.Dial(t.Context(), itemporal.Config{
		Address: stack.Env("TEMPORAL_ADDRESS"), Namespace: stack.Env("TEMPORAL_NAMESPACE"),
		TLS: tlsconf.Files{
			CA: stack.Env("TEMPORAL_TLS_CA"), ServerName: "localhost",
			Cert: filepath.Join(stack.Dir(), "pki", role+".crt"), Key: filepath.Join(stack.Dir(), "pki", role+".key"),
		},
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// ready returns a dispatcher that Temporal serves.
func ready(t *testing.T) (*dispatch.Dispatcher, client.Client) {
	t.Helper()
	c := dial(t, "primary")
	_, err := itemporal.EnsureSearchAttributes(t.Context(), c, "default", itemporal.Attributes{
		workflows.AttributeZone:      enums.INDEXED_VALUE_TYPE_KEYWORD_LIST,
		workflows.AttributeSecondary: enums.INDEXED_VALUE_TYPE_KEYWORD,
		workflows.AttributeTrigger:   enums.INDEXED_VALUE_TYPE_KEYWORD,
		workflows.AttributeOutcome:   enums.INDEXED_VALUE_TYPE_KEYWORD,
	})
	if err != nil {
		t.Fatal(err)
	}
	d := &dispatch.Dispatcher{Client: c}
	// Temporal knows new attributes a second or two later, one before the other.
	eventually.True(t, "search attributes to be known", func() bool {
		return d.ReconcileSecondary(t.Context(), workflows.ReconcileSecondaryInput{Secondary: "probe"}) == nil &&
			d.SyncZone(t.Context(), workflows.SyncZoneInput{Zone: "probe.example."}, workflows.ZoneChange{}) == nil
	})
	return d, c
}

// events are the history of the workflow's current run.
func events(t *testing.T, c client.Client, id string) []*history.HistoryEvent {
	t.Helper()
	var list []*history.HistoryEvent
	for iter := c.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); iter.HasNext(); {
		e, err := iter.Next()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, e)
	}
	return list
}

// TestMissingSearchAttributes must run before any test that makes them.
func TestMissingSearchAttributes(t *testing.T) {
	d := &dispatch.Dispatcher{Client: dial(t, "primary")}
	err := d.SyncZone(t.Context(), workflows.SyncZoneInput{Zone: "example.org."}, workflows.ZoneChange{})
	if err == nil || errors.Is(err, dispatch.ErrImpossible) || !strings.Contains(err.Error(), "temporal operator search-attribute create") ||
		!strings.Contains(err.Error(), "example.org.") {
		t.Errorf("%v", err)
	}
}

func TestSyncZone(t *testing.T) {
	d, c := ready(t)
	const zone = "0/26.2.0.192.in-addr.arpa."
	var all sync.WaitGroup
	const changes = 20
	for n := range changes {
		all.Go(func() {
			in := workflows.SyncZoneInput{Zone: zone, Trigger: workflows.TriggerEvent, Primary: "primary-1"}
			change := workflows.ZoneChange{ChangeID: fmt.Sprint("change-", n), Primary: "primary-1", Trigger: workflows.TriggerEvent}
			if err := d.SyncZone(t.Context(), in, change); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()

	signals := 0
	for _, e := range events(t, c, workflows.SyncZoneID(zone)) {
		if s := e.GetWorkflowExecutionSignaledEventAttributes(); s.GetSignalName() == workflows.SignalZoneChanged {
			signals++
			var change workflows.ZoneChange
			if err := converter.GetDefaultDataConverter().FromPayloads(s.GetInput(), &change); err != nil || change.Primary != "primary-1" {
				t.Errorf("%+v, %v", change, err)
			}
		}
		s := e.GetWorkflowExecutionStartedEventAttributes()
		if s == nil {
			continue
		}
		var in workflows.SyncZoneInput
		if err := converter.GetDefaultDataConverter().FromPayloads(s.GetInput(), &in); err != nil || in.Zone != zone || in.Trigger != workflows.TriggerEvent {
			t.Errorf("%+v, %v", in, err)
		}
		if s.GetWorkflowType().GetName() != workflows.SyncZoneType || s.GetTaskQueue().GetName() != workflows.WorkflowQueue {
			t.Errorf("%s on %s", s.GetWorkflowType(), s.GetTaskQueue())
		}
	}
	if signals != changes {
		t.Errorf("one run has %d of %d signals", signals, changes)
	}
	described, err := c.DescribeWorkflow(t.Context(), workflows.SyncZoneID(zone), "")
	if err != nil {
		t.Fatal(err)
	}
	zones, _ := described.TypedSearchAttributes.GetKeywordList(temporal.NewSearchAttributeKeyKeywordList(workflows.AttributeZone))
	trigger, _ := described.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(workflows.AttributeTrigger))
	if len(zones) != 1 || zones[0] != zone || trigger != workflows.TriggerEvent {
		t.Errorf("search attributes: %q, %q", zones, trigger)
	}
	if summary, err := described.GetStaticSummary(); err != nil || summary != "sync "+zone+" (event)" {
		t.Errorf("%q, %v", summary, err)
	}
	// A run that ended does not stand in the way.
	if err := c.TerminateWorkflow(t.Context(), workflows.SyncZoneID(zone), "", "test"); err != nil {
		t.Fatal(err)
	}
	if err := d.SyncZone(t.Context(), workflows.SyncZoneInput{Zone: zone}, workflows.ZoneChange{}); err != nil {
		t.Error(err)
	}
	if again, err := c.DescribeWorkflow(t.Context(), workflows.SyncZoneID(zone), ""); err != nil || again.Status != enums.WORKFLOW_EXECUTION_STATUS_RUNNING {
		t.Errorf("%v, %v", again, err)
	}
}

func TestReconcileSecondary(t *testing.T) {
	d, c := ready(t)
	for range 3 {
		in := workflows.ReconcileSecondaryInput{Secondary: "secondary-1", Trigger: workflows.TriggerReturn, Reason: "its worker started"}
		if err := d.ReconcileSecondary(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	id := workflows.ReconcileSecondaryID("secondary-1")
	signals := 0
	for _, e := range events(t, c, id) {
		if e.GetWorkflowExecutionSignaledEventAttributes().GetSignalName() == workflows.SignalReconcile {
			signals++
		}
	}
	if signals != 3 {
		t.Errorf("%d signals", signals)
	}
	described, err := c.DescribeWorkflow(t.Context(), id, "")
	if err != nil {
		t.Fatal(err)
	}
	secondary, _ := described.TypedSearchAttributes.GetKeyword(temporal.NewSearchAttributeKeyKeyword(workflows.AttributeSecondary))
	summary, _ := described.GetStaticSummary()
	details, _ := described.GetStaticDetails()
	if secondary != "secondary-1" || summary != "reconcile secondary-1 (return)" || details != "its worker started" {
		t.Errorf("%q, %q, %q", secondary, summary, details)
	}
}

// TestLongNames: the longest names pass, up to what Temporal takes as workflow ID.
func TestLongNames(t *testing.T) {
	d, _ := ready(t)
	label := strings.Repeat("a", 63) + "."
	escaped := strings.Repeat(`\255`, 60) + "."
	for _, c := range []struct {
		zone       string
		impossible bool
	}{
		{label + label + label + strings.Repeat("a", 61) + ".", false},
		{escaped + escaped + escaped + strings.Repeat(`\255`, 60) + ".", false},
		{escaped + escaped + escaped + strings.Repeat(`\255`, 61) + strings.Repeat("a", 30) + ".", true},
	} {
		err := d.SyncZone(t.Context(), workflows.SyncZoneInput{Zone: c.zone}, workflows.ZoneChange{})
		if c.impossible != errors.Is(err, dispatch.ErrImpossible) || !c.impossible && err != nil {
			t.Errorf("%d characters: %v", len(c.zone), err)
		}
	}
}

// TestTemporalAway fails within the time given, says why, and works again.
func TestTemporalAway(t *testing.T) {
	d, _ := ready(t)
	d.Timeout = time.Second
	in := workflows.SyncZoneInput{Zone: "away.example."}
	for _, c := range []struct {
		away, back func(testing.TB, string)
	}{{stack.Pause, stack.Resume}, {stack.Kill, stack.StartProc}} {
		c.away(t, "temporal")
		begin := time.Now()
		err := d.SyncZone(t.Context(), in, workflows.ZoneChange{})
		if took := time.Since(begin); err == nil || took > 3*time.Second || !strings.Contains(err.Error(), "temporal.address") {
			t.Errorf("after %s: %v", took, err)
		}
		c.back(t, "temporal")
		eventually.True(t, "Temporal to take changes again", func() bool {
			return d.SyncZone(t.Context(), in, workflows.ZoneChange{}) == nil
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.SyncZone(ctx, in, workflows.ZoneChange{}); err == nil {
		t.Error("no error with a context that has ended")
	}
}

// TestReader has no right to start workflows.
func TestReader(t *testing.T) {
	d := &dispatch.Dispatcher{Client: dial(t, "reader")}
	err := d.SyncZone(t.Context(), workflows.SyncZoneInput{Zone: "example.org."}, workflows.ZoneChange{})
	if err == nil || !strings.Contains(err.Error(), "temporal.cert_file") {
		t.Errorf("%v", err)
	}
}

// TestTooManySignals: a run that cannot take more owes a look at the zone anyway.
func TestTooManySignals(t *testing.T) {
	d, c := ready(t)
	in := workflows.SyncZoneInput{Zone: "busy.example."}
	var all sync.WaitGroup
	const limit, senders = 1000, 20 // the stack's history.maximumSignalsPerExecution
	for range senders {
		all.Go(func() {
			for range limit / senders {
				if err := d.SyncZone(t.Context(), in, workflows.ZoneChange{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if err := c.SignalWorkflow(t.Context(), workflows.SyncZoneID(in.Zone), "", workflows.SignalZoneChanged, workflows.ZoneChange{}); err == nil {
		t.Fatal("Temporal takes one more")
	}
	if err := d.SyncZone(t.Context(), in, workflows.ZoneChange{}); err != nil {
		t.Error(err)
	}
}
