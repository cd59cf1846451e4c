// Package dispatch is the one way by which triggers reach Temporal: it turns
// "look at this zone again" and "compare this secondary" into a start of the
// workflow, or a signal to the one that runs. Data comes from the triggers and
// goes to the Temporal server.
//
// Since all triggers pass through here, the workflow IDs, and with them the
// promise "one sync a zone, one reconcile a secondary", are kept in one place.
package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	itemporal "github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// DefaultTimeout bounds one call to Temporal. One that is overwhelmed answers
// late: whoever gives up before then has it do the same work again, and keeps it so.
const DefaultTimeout = 10 * time.Second

// maxWorkflowID is the longest workflow ID in bytes that Temporal takes (its
// dynamic config limit.maxIDLength, default 1000). A zone name whose octets
// are nearly all escaped is longer in presentation form.
const maxWorkflowID = 1000

// signalsExceeded is what Temporal says where a run has got as many signals as
// one may (its dynamic config history.maximumSignalsPerExecution, default 10,000).
const signalsExceeded = "exceeded workflow execution limit for signal events"

// ErrImpossible marks what no retry can mend: the input itself is refused.
var ErrImpossible = errors.New("can never be dispatched")

// stepTimeout is after how long Temporal gives a step of a workflow to another
// worker, since the one that had it died or was stopped as it took it. A step
// takes milliseconds, with its local activities 2 s at most. Temporal's default is 10 s.
const stepTimeout = 5 * time.Second

// Signaler is the part of Temporal's [client.Client] that is used.
type Signaler interface {
	// SignalWithStartWorkflow starts the workflow, or signals it where it
	// runs. After an error it may have done so all the same.
	SignalWithStartWorkflow(ctx context.Context, workflowID, signalName string, signalArg any,
		options client.StartWorkflowOptions, workflow any, workflowArgs ...any) (client.WorkflowRun, error)
	// ExecuteWorkflow starts the workflow, or returns the running one of that ID.
	ExecuteWorkflow(ctx context.Context, options client.StartWorkflowOptions, workflow any, args ...any) (client.WorkflowRun, error)
}

// Dispatcher starts and signals workflows. It holds no state: any number may
// run at once, on any number of hosts.
type Dispatcher struct {
	// Client reaches Temporal.
	Client Signaler
	// Timeout bounds each call; zero means [DefaultTimeout].
	Timeout time.Duration
}

// SyncZone has the zone's sync look at it again: it starts SyncZone with in,
// or signals the running one with change. It returns nil once Temporal has it
// stored, or takes no more signals of this run: it owes so many looks at the zone
// that one more changes nothing, and events that are given back over and over
// would hold up those of all other zones.
//
// Calling it twice for one change is harmless. An error that is
// [ErrImpossible] comes back however often it is called; any other may pass.
func (d *Dispatcher) SyncZone(ctx context.Context, in workflows.SyncZoneInput, change workflows.ZoneChange) error {
	id := workflows.SyncZoneID(in.Zone)
	if len(id) > maxWorkflowID {
		return fmt.Errorf("sync zone %.100s…: %w: its workflow ID has %d bytes, Temporal takes %d", in.Zone, ErrImpossible, len(id), maxWorkflowID)
	}
	_, err := d.signalWithStart(ctx, id, workflows.SignalZoneChanged, change, zoneOptions(in), workflows.SyncZoneType, in)
	if err != nil && !overwhelmed(err) {
		return fmt.Errorf("sync zone %s: %w", in.Zone, err)
	}
	return nil
}

// overwhelmed says that the running workflow gets no more signals.
func overwhelmed(err error) bool {
	var invalid *serviceerror.InvalidArgument
	return errors.As(err, &invalid) && invalid.Message == signalsExceeded
}

// ReconcileSecondary has a secondary compared in full: it starts
// ReconcileSecondary with in, or asks the running one for one more round.
// Errors are as with [Dispatcher.SyncZone].
func (d *Dispatcher) ReconcileSecondary(ctx context.Context, in workflows.ReconcileSecondaryInput) error {
	_, err := d.JoinReconcile(ctx, in)
	return err
}

// JoinReconcile is [Dispatcher.ReconcileSecondary] and returns the ID of the run
// that serves the request.
func (d *Dispatcher) JoinReconcile(ctx context.Context, in workflows.ReconcileSecondaryInput) (runID string, err error) {
	trigger := orManual(in.Trigger)
	options := startOptions(fmt.Sprintf("reconcile %s (%s)", in.Secondary, trigger),
		temporal.NewSearchAttributeKeyKeyword(workflows.AttributeSecondary).ValueSet(in.Secondary),
		temporal.NewSearchAttributeKeyKeyword(workflows.AttributeTrigger).ValueSet(trigger))
	options.StaticDetails = in.Reason
	id := workflows.ReconcileSecondaryID(in.Secondary)
	runID, err = d.signalWithStart(ctx, id, workflows.SignalReconcile, in, options, workflows.ReconcileSecondaryType, in)
	if err != nil {
		return "", fmt.Errorf("reconcile secondary %s: %w", in.Secondary, err)
	}
	return runID, nil
}

// signalWithStart returns the ID of the run that was started or signalled.
func (d *Dispatcher) signalWithStart(ctx context.Context, id, signal string, payload any, options client.StartWorkflowOptions, workflowType string, in any) (runID string, err error) {
	ctx, cancel := d.bounded(ctx)
	defer cancel()
	run, err := d.Client.SignalWithStartWorkflow(ctx, id, signal, payload, options, workflowType, in)
	if err != nil {
		return "", explain(err)
	}
	return run.GetRunID(), nil
}

// bounded bounds one call.
func (d *Dispatcher) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := d.Timeout
	if timeout == 0 {
		timeout = DefaultTimeout
	}
	return context.WithTimeout(ctx, timeout)
}

// zoneOptions are the options that SyncZone is started with.
func zoneOptions(in workflows.SyncZoneInput) client.StartWorkflowOptions {
	trigger := orManual(in.Trigger)
	return startOptions(fmt.Sprintf("sync %s (%s)", in.Zone, trigger),
		temporal.NewSearchAttributeKeyKeywordList(workflows.AttributeZone).ValueSet([]string{in.Zone}),
		temporal.NewSearchAttributeKeyKeyword(workflows.AttributeTrigger).ValueSet(trigger))
}

// startOptions are the options that every workflow is started with. A closed
// run of the same ID never stands in the way, and a running one is signalled.
// There is no run timeout: a sync ends by itself and an operator can end it.
func startOptions(summary string, attributes ...temporal.SearchAttributeUpdate) client.StartWorkflowOptions {
	return client.StartWorkflowOptions{
		TaskQueue:                workflows.WorkflowQueue,
		WorkflowIDReusePolicy:    enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		TypedSearchAttributes:    temporal.NewSearchAttributes(attributes...),
		StaticSummary:            summary,
		WorkflowTaskTimeout:      stepTimeout,
	}
}

// explain adds to an error of Temporal what to do about it.
func explain(err error) error {
	if err == nil {
		return nil
	}
	var (
		invalid  *serviceerror.InvalidArgument
		deadline *serviceerror.DeadlineExceeded
	)
	if errors.As(err, &invalid) && strings.Contains(strings.ToLower(invalid.Message), "search attribute") {
		return fmt.Errorf("%w: Temporal's namespace lacks a search attribute that pdns-distribute needs (%s of type KeywordList; %s, %s, %s of type Keyword); "+
			"a running primary makes them within a minute where its certificate has admin rights, else make them with: "+
			"temporal operator search-attribute create --namespace NAMESPACE --name NAME --type TYPE",
			err, workflows.AttributeZone, workflows.AttributeSecondary, workflows.AttributeTrigger, workflows.AttributeOutcome)
	}
	explained := itemporal.Explain(err)
	if explained.Error() == err.Error() && (errors.Is(err, context.DeadlineExceeded) || errors.As(err, &deadline)) {
		return fmt.Errorf("%w: Temporal did not answer in time; look at the server and at temporal.address", err)
	}
	return explained
}

func orManual(trigger string) string {
	if trigger == "" {
		return workflows.TriggerManual
	}
	return trigger
}
