package workflows

import (
	"fmt"
	"strings"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// EnforceNSEC3Result is the report of the NSEC3 policy.
type EnforceNSEC3Result struct {
	CheckRun
	// Outcomes counts the zones with NSEC by what became of them.
	Outcomes map[string]int `json:"outcomes,omitempty"`
	// Zones lists the first few that have NSEC3 now, OldKeys those whose keys
	// forbid it, Failed those where it could not be set.
	Zones   []string `json:"zones,omitempty"`
	OldKeys []string `json:"old_keys,omitempty"`
	Failed  []string `json:"failed,omitempty"`
	// Alone lists the first few of those that go on in a sync of their own.
	Alone []string `json:"alone,omitempty"`
	// After is the last zone that was gone through, where the run that goes on
	// with this one has the rest to do.
	After string `json:"after,omitempty"`
}

// EnforceNSEC3 sets NSEC3 on zones that the primary signs with NSEC, where the
// configuration says so, and syncs them. It is a singleton: see singleton.go.
func EnforceNSEC3(ctx workflow.Context, in CheckInput) (EnforceNSEC3Result, error) {
	var p nsec3Policy
	return singleton(ctx, NSEC3Policy, in, &p.result, func(ctx workflow.Context, _ CheckInput) error { return p.round(ctx) })
}

type nsec3Policy struct {
	result  EnforceNSEC3Result
	batches int
}

func (p *nsec3Policy) round(ctx workflow.Context) error {
	after := p.result.After
	if after == "" {
		p.result = EnforceNSEC3Result{CheckRun: p.result.CheckRun}
		p.result.Found = nil
	}
	p.result.After = ""
	p.result.Found, p.result.Outcomes = countsOf(p.result.Found), countsOf(p.result.Outcomes)
	for {
		p.phase(ctx, fmt.Sprintf("looking at signed zones after %q", after))
		var part activities.SetNSEC3Result
		err := workflow.ExecuteActivity(sweeping(ctx, PrimaryQueue, "set NSEC3"), denial.SetNSEC3, activities.SetNSEC3Input{After: after}).Get(ctx, &part)
		if err != nil {
			return err
		}
		if part.Off {
			p.result.Outcome, p.result.Error = OutcomeSkipped, "nsec3.enforce is off on the primary"
			return nil
		}
		p.done(part)
		if len(part.Zones) > 0 {
			p.sync(ctx, part)
		}
		if after = part.After; after == "" {
			return nil
		}
		if grown(ctx) {
			p.result.After = after
			return errGrown
		}
	}
}

func (p *nsec3Policy) done(part activities.SetNSEC3Result) {
	addCounts(p.result.Outcomes, part.Outcomes)
	addCounts(p.result.Found, map[string]int{"nsec": part.Outcomes[string(pdns.NSEC3Wanted)]})
	p.result.Repaired += len(part.Zones)
	p.result.Zones = few(p.result.Zones, part.Zones)
	p.result.OldKeys = few(p.result.OldKeys, part.OldKeys)
	p.result.Failed = few(p.result.Failed, part.Failed)
	if len(part.Failed) > 0 {
		p.result.Outcome, p.result.Error = OutcomePartial, part.Reason
	}
}

// sync brings the changed zones to the secondaries, exported by the primary that
// changed them.
func (p *nsec3Policy) sync(ctx workflow.Context, part activities.SetNSEC3Result) {
	p.phase(ctx, fmt.Sprintf("syncing %d zones", len(part.Zones)))
	p.batches++
	name := checkBatch(ctx, NSEC3Policy, p.batches)
	var synced SyncZonesResult
	err := syncBatch(ctx, name, SyncZonesInput{Zones: part.Zones, Trigger: NSEC3Policy.Trigger, Primary: part.Primary, Unchecked: true}).Get(ctx, &synced)
	switch {
	case err != nil:
		p.result.Outcome, p.result.Error = OutcomePartial, failureText(err)
	case synced.Outcome != OutcomeInSync:
		p.result.Outcome, p.result.Error = OutcomePartial, synced.Error
		p.result.Alone = few(p.result.Alone, synced.Alone)
	}
}

func (p *nsec3Policy) phase(ctx workflow.Context, phase string) {
	p.result.Phase = phase
	workflow.SetCurrentDetails(ctx, p.result.Markdown())
}

// Markdown renders the report for the web UI.
func (r EnforceNSEC3Result) Markdown() string {
	var text strings.Builder
	text.WriteString(r.CheckRun.markdown("NSEC3 policy"))
	fmt.Fprintf(&text, "\n\n%d zones changed and synced; of those with NSEC: %s", r.Repaired, countsText(r.Outcomes))
	names(&text, "now with NSEC3", r.Zones)
	names(&text, "keys too old for NSEC3", r.OldKeys)
	names(&text, "could not be changed", r.Failed)
	names(&text, "in a sync of their own", r.Alone)
	return text.String()
}
