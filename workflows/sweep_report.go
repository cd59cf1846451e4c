package workflows

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// SweepResult is the report of a check that goes through all zones.
type SweepResult struct {
	CheckRun
	// Zones counts the zones that were compared, Surveyed what became of all
	// zones on the primary.
	Zones    int            `json:"zones"`
	Surveyed map[string]int `json:"surveyed,omitempty"`
	// Contested counts those about which primaries are at odds still.
	Contested int `json:"contested,omitempty"`
	// Left lists the first few zones that are still wrong somewhere.
	Left []string `json:"left,omitempty"`
	// Unrenewable lists the first few zones whose signatures end soon on the
	// primary itself: who signs them must renew these.
	Unrenewable []string `json:"unrenewable,omitempty"`
	// Unanswerable lists the first few signed zones with records that no secondary
	// can answer.
	Unanswerable []string `json:"unanswerable,omitempty"`
	// Failed lists the first few zones that a primary could not look at.
	Failed []string `json:"failed,omitempty"`
	// Secondaries is how each compared itself, Outside what a sample of the
	// zones looked like from outside, on all of them.
	Secondaries []SweptSecondary `json:"secondaries,omitempty"`
	Outside     Swept            `json:"outside,omitzero"`
	// Rest is what is left to the run that goes on with this one.
	Rest *SweepRest `json:"rest,omitempty"`
}

// SweepRest is what is left of a check that goes through all zones.
type SweepRest struct {
	// After is the last zone that was gone through.
	After string `json:"after"`
	// Targets are the secondaries that take part.
	Targets []activities.Target `json:"targets"`
}

// SweptSecondary is how one secondary compared itself.
type SweptSecondary struct {
	ID string `json:"id"`
	// State is in-sync, outdated where something is left, or lagging where its
	// worker does not answer.
	State string `json:"state"`
	Swept
}

// Swept is what a comparison of all zones found.
type Swept struct {
	// States counts the zones by state, before any repair.
	States map[string]int `json:"states,omitempty"`
	// Found counts those that were wrong, Left those that are still.
	Found int `json:"found,omitempty"`
	Left  int `json:"left,omitempty"`
	// Expires is when the first of the signatures ends that were seen.
	Expires time.Time `json:"expires,omitzero"`
	// Reason is what was wrong with one zone, Error why the comparison did not
	// come to its end.
	Reason string `json:"reason,omitempty"`
	Error  string `json:"error,omitempty"`
}

// take notes what the first look at a part of the zones found.
func (s *Swept) take(found activities.CompareResult) {
	if s.States == nil {
		s.States = make(map[string]int)
	}
	addCounts(s.States, found.States)
	s.Found += len(found.Wrong)
	s.Expires = pdns.FirstEnd(s.Expires, found.Expires)
	if found.Reason != "" {
		s.Reason = found.Reason
	}
}

// namesShown bounds the zone names of each kind that a report carries.
const namesShown = 20

// few returns the first names of both.
func few(names, more []string) []string {
	names = append(names, more...)
	slices.Sort(names)
	names = slices.Compact(names)
	return names[:min(len(names), namesShown)]
}

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
	names(&b, "signed, with ALIAS or LUA records that secondaries cannot answer", r.Unanswerable)
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
