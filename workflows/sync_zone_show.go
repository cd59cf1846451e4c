package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"
)

// result is the state as people read it.
func (s *zoneSync) result() SyncZoneResult {
	r := SyncZoneResult{
		Zone: s.in.Zone, Trigger: s.in.Trigger, Phase: s.phase, Error: s.lastError,
		Version: s.newest.Version, Serial: s.newest.Serial, Deleted: s.newest.Deleted, Records: s.newest.Records,
		Publisher: s.newest.Publisher,
		Changes:   s.counts.Changes, Exports: s.counts.Exports, Repaired: s.counts.Repaired,
		Secondaries: s.statuses(),
	}
	if s.newest.Version != 0 {
		r.PublishedAt = s.newest.Time.Format(time.RFC3339Nano)
	}
	r.Outcome = judge(s.outcome, len(s.targets), r.Secondaries)
	return r
}

// settled is the state with what every secondary did last, though it may have
// more to do.
func (s *zoneSync) settled() SyncZoneResult {
	r := s.result()
	for i, host := range s.inOrder() {
		r.Secondaries[i].State = host.status.State
	}
	r.Outcome = judge(s.outcome, len(s.targets), r.Secondaries)
	if r.Outcome == OutcomeInSync && !s.retryAt.IsZero() {
		r.Outcome = OutcomePartial // with what was published, but the primaries do not agree yet
	}
	return r
}

// judge sums up: in-sync needs at least one secondary, and all of them.
func judge(exported string, targets int, secondaries []SecondaryStatus) string {
	if exported != "" {
		return exported
	}
	if targets == 0 {
		return OutcomeFailed
	}
	for _, secondary := range secondaries {
		if secondary.State != StateInSync && secondary.State != StatePaused {
			return OutcomePartial
		}
	}
	return OutcomeInSync
}

// show puts the state where the web UI shows it while the sync runs.
func (s *zoneSync) show(ctx workflow.Context) {
	workflow.SetCurrentDetails(ctx, s.result().Markdown())
}

// Markdown renders the result for the web UI.
func (r SyncZoneResult) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** %s", r.Zone, r.Outcome)
	if r.Phase != "" {
		fmt.Fprintf(&b, " (%s)", r.Phase)
	}
	switch {
	case r.Deleted:
		fmt.Fprintf(&b, "\n\ndeleted, version %d by %s", r.Version, r.Publisher)
	case r.Version != 0:
		fmt.Fprintf(&b, "\n\nserial %d, %d records, version %d by %s", r.Serial, r.Records, r.Version, r.Publisher)
	}
	fmt.Fprintf(&b, "\n\n%d changes, %d exports, %d repaired", r.Changes, r.Exports, r.Repaired)
	if r.Error != "" {
		fmt.Fprintf(&b, "\n\n%s", r.Error)
	}
	if len(r.Secondaries) > 0 {
		b.WriteString("\n\n| secondary | state | serial | took | note |\n|---|---|---|---|---|\n")
	}
	for _, s := range r.Secondaries {
		fmt.Fprintf(&b, "| %s | %s | %d | %d ms | %s |\n", s.ID, s.State, s.Serial, s.TookMS, s.Error)
	}
	return b.String()
}
