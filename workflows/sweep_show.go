package workflows

import (
	"fmt"
	"strings"
	"time"
)

// markdown renders the report for the web UI and the command line.
func (r SweepResult) markdown(what string) string {
	var b strings.Builder
	b.WriteString(r.CheckRun.markdown(what))
	fmt.Fprintf(&b, "\n\n%d zones compared; on the primary %s", r.Zones, countsText(r.Surveyed))
	if len(r.Found) > 0 {
		fmt.Fprintf(&b, "; found %s, repaired %d", countsText(r.Found), r.Repaired)
	}
	names(&b, "still wrong", r.Left)
	names(&b, "the primary itself has no better signatures of", r.Unrenewable)
	names(&b, "could not be looked at on the primary", r.Failed)
	for _, s := range r.Secondaries {
		fmt.Fprintf(&b, "\n\n**%s** %s%s", s.ID, s.State, s.Swept)
	}
	if text := r.Outside.String(); text != "" {
		fmt.Fprintf(&b, "\n\na sample from outside%s", text)
	}
	return b.String()
}

// names renders the first few zones of a kind, where there are any.
func names(b *strings.Builder, what string, zones []string) {
	if len(zones) > 0 {
		fmt.Fprintf(b, "\n\n%s: %s", what, strings.Join(zones, ", "))
	}
}

// String is ": 3 fresh, 1 missing; …", empty where nothing was compared.
func (s Swept) String() string {
	var parts []string
	if len(s.States) > 0 {
		parts = append(parts, countsText(s.States))
	}
	if !s.Expires.IsZero() {
		parts = append(parts, "the first signature ends "+s.Expires.UTC().Format(time.RFC3339))
	}
	if s.Found > 0 {
		parts = append(parts, fmt.Sprintf("left %d: %s", s.Left, s.Reason))
	}
	if s.Error != "" {
		parts = append(parts, s.Error)
	}
	if len(parts) == 0 {
		return ""
	}
	return ": " + strings.Join(parts, "; ")
}
