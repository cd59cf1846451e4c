package workflows

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"
)

// judge sums up, and takes out of the report the names that repairs needed.
func (h *healthCheck) judge() {
	r := &h.result
	found := map[string]int{
		"unpublished": r.Survey.Drift.Unpublished, "changed": r.Survey.Drift.Changed, "gone": r.Survey.Drift.Gone,
	}
	if r.Survey.Unpublished() > 0 {
		r.Outcome = OutcomePartial
	}
	for i := range r.Secondaries {
		s := &r.Secondaries[i]
		s.State = StateInSync
		if s.Error != "" || s.Left.Wrong() > 0 {
			s.State, r.Outcome = StateLagging, OutcomePartial
		}
		addCounts(found, s.Found.Kinds())
		r.Repaired += max(0, s.Found.Wrong()-s.Left.Wrong())
		s.Found.AnsweredZones, s.Found.OrphanedZones, s.Left.AnsweredZones, s.Left.OrphanedZones = nil, nil, nil, nil
	}
	r.Found = countsOf(found)
}

// hostFailure says why nothing is known of a secondary.
func hostFailure(id string, err error) string {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	if errors.As(err, &timeout) && !errors.As(err, &app) {
		return "its worker does not answer, so nothing looks after what its PowerDNS serves; is pdns-distribute running on " + id + "?"
	}
	return failureText(err)
}

// Markdown renders the report for the web UI and the command line.
func (r CheckHealthResult) Markdown() string {
	var b strings.Builder
	b.WriteString(r.CheckRun.markdown("health check"))
	fmt.Fprintf(&b, "\n\nprimary %s: %d zones to serve; %s%s", r.Survey.Primary, r.Survey.Zones, driftText(r.Survey.Drift), leftOutText(r.Survey.NotDistributed))
	if len(r.Survey.Synced) > 0 {
		fmt.Fprintf(&b, "; exported again: %s", countsText(r.Survey.Synced))
	}
	if r.Survey.Left > 0 {
		fmt.Fprintf(&b, "; %d left for the next check", r.Survey.Left)
	}
	for _, s := range r.Secondaries {
		fmt.Fprintf(&b, "\n\n**%s** %s", s.ID, s.State)
		if s.Error != "" {
			fmt.Fprintf(&b, ": %s", s.Error)
			continue
		}
		fmt.Fprintf(&b, ": %d of %d zones right, %d asked for by DNS", s.Left.Right, s.Left.Zones, s.Left.Asked)
		if s.Found.Wrong() > 0 {
			fmt.Fprintf(&b, "; found %s, left %d: %s", countsText(s.Found.Kinds()), s.Left.Wrong(), strings.Join(s.Found.Names, ", "))
		}
	}
	if r.Content != nil {
		b.WriteString("\n\n" + r.Content.markdown("content check"))
	}
	if r.Signatures != nil {
		b.WriteString("\n\n" + r.Signatures.markdown("signature check"))
	}
	return b.String()
}
