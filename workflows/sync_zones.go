package workflows

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// SyncZonesResult says what a batch did.
type SyncZonesResult struct {
	Outcome string `json:"outcome"`
	Phase   string `json:"phase,omitempty"`
	Zones   int    `json:"zones"`
	// Exported counts the zones by what their export found.
	Exported map[string]int `json:"exported,omitempty"`
	// Secondaries says for each secondary what became of the zones.
	Secondaries []BatchStatus `json:"secondaries,omitempty"`
	// Alone lists the zones that were handed to a sync of their own.
	Alone []string `json:"alone,omitempty"`
	Error string   `json:"error,omitempty"`
}

// BatchStatus is what became of a batch on one secondary.
type BatchStatus struct {
	ID       string         `json:"id"`
	State    string         `json:"state"`
	Outcomes map[string]int `json:"outcomes,omitempty"`
	Error    string         `json:"error,omitempty"`
}

// SyncZones brings many zones to every secondary with a few steps in all: a
// workflow a zone costs a hundred times as much. Every zone that needs more
// than that is handed to a SyncZone of its own. Beside SyncZone it is harmless:
// versions only grow, and each zone has its lock on a secondary.
func SyncZones(ctx workflow.Context, in SyncZonesInput) (SyncZonesResult, error) {
	zones, err := batchOf(in.Zones)
	if err != nil {
		return SyncZonesResult{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf(`SyncZones needs {"zones":["example.org.",…]}: %v`, err), activities.ErrTypeBadInput, err)
	}
	b := &zoneBatch{in: in, zones: zones, result: SyncZonesResult{Zones: len(zones)}}
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (SyncZonesResult, error) { return b.result, nil }); err != nil {
		return SyncZonesResult{}, err
	}
	return b.run(ctx)
}

// batchOf checks and sorts the names; each is there once.
func batchOf(names []string) ([]string, error) {
	if len(names) == 0 || len(names) > MaxBatch {
		return nil, fmt.Errorf("%d zones; 1 to %d are possible", len(names), MaxBatch)
	}
	zones := make([]string, 0, len(names))
	for _, name := range names {
		zone, err := pdns.CanonicalZone(name)
		if err != nil {
			return nil, err
		}
		zones = append(zones, zone)
	}
	slices.Sort(zones)
	return slices.Compact(zones), nil
}

// zoneBatch is the state of one run.
type zoneBatch struct {
	in      SyncZonesInput
	zones   []string
	targets []activities.Target
	timing  activities.Timing
	// versions are what the zones were exported as, after changes. Whoever asks for
	// another reason doubts what secondaries know.
	versions map[string]int64
	// absent are the secondaries whose workers have not taken the zones in time.
	absent []string
	// exporter is the primary that exported last.
	exporter string
	result   SyncZonesResult
}

func (b *zoneBatch) run(ctx workflow.Context) (SyncZonesResult, error) {
	started := workflow.Now(ctx)
	if err := b.bring(ctx); err != nil {
		return b.result, err
	}
	if err := b.bringAgain(ctx, started); err != nil {
		return b.result, err
	}
	if !b.in.Unchecked {
		if err := b.check(ctx, started); err != nil {
			return b.result, err
		}
	}
	b.judge()
	b.phase(ctx, "")
	return b.result, workflow.UpsertTypedSearchAttributes(ctx, outcomeAttribute.ValueSet(b.result.Outcome))
}

// bring exports the zones and has every secondary bring them.
func (b *zoneBatch) bring(ctx workflow.Context) error {
	b.phase(ctx, "exporting")
	if err := b.export(ctx); err != nil {
		return err
	}
	b.phase(ctx, "applying")
	b.apply(ctx)
	return b.handOver(ctx, b.result.Alone)
}

// check asks from outside, a while after the batch was started.
func (b *zoneBatch) check(ctx workflow.Context, started time.Time) error {
	b.phase(ctx, "waiting for the check from outside")
	if err := sleepUntil(ctx, started.Add(b.timing.EventCheckWait)); err != nil {
		return err
	}
	b.phase(ctx, "asking the secondaries")
	return b.verify(ctx)
}

// export publishes the zones on the primary that took the changes, or on any.
func (b *zoneBatch) export(ctx workflow.Context) error {
	began, found := workflow.Now(ctx), discover(ctx)
	in := b.asking(b.zones)
	in.Changes = b.in.Changes
	var exported activities.ZonesResult
	var err error
	if b.in.Primary != "" {
		exported, err = b.exportOn(ctx, PrimaryHostQueue(b.in.Primary), in)
	}
	if b.in.Primary == "" || err != nil {
		exported, err = b.exportOn(ctx, PrimaryQueue, in)
	}
	if err != nil {
		return err
	}
	if b.in.Trigger == TriggerEvent {
		b.versions = exported.Versions
	}
	b.result.Exported, b.timing, b.exporter = exported.Outcomes, exported.Timing, exported.Primary
	b.leave(exported)
	b.askPublishers(ctx, exported)
	var discovered activities.DiscoverSecondariesResult
	if err = discoverAgain(ctx, began, found, false).Get(ctx, &discovered); err != nil {
		err = workflow.ExecuteActivity(onAnyPrimary(ctx, "list the secondaries"), directory.DiscoverSecondaries,
			activities.DiscoverSecondariesInput{}).Get(ctx, &discovered)
	}
	b.targets = discovered.Targets
	return err
}

// apply has every secondary bring the zones, all at once. One that is absent is
// lagging and reconciled on its return.
func (b *zoneBatch) apply(ctx workflow.Context) {
	b.result.Secondaries, b.absent = nil, nil
	applies := make([]workflow.Future, len(b.targets))
	for i, target := range b.targets {
		applies[i] = workflow.ExecuteActivity(
			batching(ctx, SecondaryHostQueue(target.ID), len(b.zones), fmt.Sprintf("apply %d zones on %s", len(b.zones), target.ID)),
			secondary.ApplyZones, activities.ZonesInput{Zones: b.zones, Versions: b.versions, Force: b.in.Force})
	}
	for i, target := range b.targets {
		status := BatchStatus{ID: target.ID, State: StateInSync}
		var applied activities.ZonesResult
		switch err := applies[i].Get(ctx, &applied); {
		case err != nil:
			status.State, status.Error = StateLagging, failureText(err)
			if neverTaken(err) {
				b.absent = append(b.absent, target.ID)
			}
		default:
			status.Outcomes = applied.Outcomes
			b.leave(applied)
			if applied.Outcomes[activities.AppliedPaused] > 0 {
				status.State = StatePaused
			} else if len(applied.Alone) > 0 || applied.Outcomes[activities.AppliedForeign] > 0 {
				status.State, status.Error = StateLagging, applied.Reason
			}
		}
		b.result.Secondaries = append(b.result.Secondaries, status)
	}
}

// neverTaken says that no worker has taken the task of a host in time.
func neverTaken(err error) bool {
	var timeout *temporal.TimeoutError
	return errors.As(err, &timeout) && timeout.TimeoutType() == enumspb.TIMEOUT_TYPE_SCHEDULE_TO_START
}

// verify asks from outside and hands what is wrong to syncs of their own.
func (b *zoneBatch) verify(ctx workflow.Context) error {
	if len(b.targets) == 0 {
		return nil
	}
	var served activities.ZonesResult
	err := workflow.ExecuteActivity(verifyingMany(ctx, "ask the secondaries"), verifier.VerifyZones,
		activities.VerifyZonesInput{Zones: b.zones, Targets: b.targets, Absent: b.absent}).Get(ctx, &served)
	switch {
	case temporal.IsCanceledError(err):
		return err
	case err != nil: // the zones are brought all the same; the next check asks again
		b.result.Error = "check from outside: " + failureText(err)
		return nil
	}
	// Those that have a sync of their own are asked for by that.
	served.Alone = slices.DeleteFunc(served.Alone, func(zone string) bool { return slices.Contains(b.result.Alone, zone) })
	b.leave(served)
	return b.handOver(ctx, served.Alone)
}

// leave notes zones that need a sync of their own.
func (b *zoneBatch) leave(result activities.ZonesResult) {
	b.result.Alone = append(b.result.Alone, result.Alone...)
	slices.Sort(b.result.Alone)
	b.result.Alone = slices.Compact(b.result.Alone)
	if result.Reason != "" {
		b.result.Error = result.Reason
	}
}

// handOver starts the syncs of the zones that need one.
func (b *zoneBatch) handOver(ctx workflow.Context, zones []string) error {
	if len(zones) == 0 {
		return nil
	}
	return workflow.ExecuteActivity(batching(ctx, PrimaryQueue, len(zones), "start syncs of their own"), directory.StartSyncs,
		b.asking(zones)).Get(ctx, nil)
}

func (b *zoneBatch) judge() {
	b.result.Outcome = OutcomeInSync
	if len(b.targets) == 0 {
		b.result.Outcome = OutcomeFailed
		b.result.Error = noTargets
		return
	}
	for _, status := range b.result.Secondaries {
		if status.State != StateInSync && status.State != StatePaused {
			b.result.Outcome = OutcomePartial
		}
	}
	if len(b.result.Alone) > 0 {
		b.result.Outcome = OutcomePartial
	}
	if b.result.Exported[activities.ExportHeld] > 0 {
		b.result.Outcome = OutcomeHeld
	}
}

func (b *zoneBatch) phase(ctx workflow.Context, phase string) {
	b.result.Phase = phase
	workflow.SetCurrentDetails(ctx, b.result.Markdown())
}

// Markdown renders the result for the web UI.
func (r SyncZonesResult) Markdown() string {
	var text strings.Builder
	fmt.Fprintf(&text, "**%d zones** %s %s", r.Zones, r.Outcome, r.Phase)
	if len(r.Alone) > 0 {
		fmt.Fprintf(&text, "\n\n%d zones are synced on their own", len(r.Alone))
	}
	if r.Error != "" {
		fmt.Fprintf(&text, "\n\n%s", r.Error)
	}
	for _, s := range r.Secondaries {
		fmt.Fprintf(&text, "\n\n%s: %s %v %s", s.ID, s.State, s.Outcomes, s.Error)
	}
	return text.String()
}
