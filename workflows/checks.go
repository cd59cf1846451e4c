package workflows

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Check is one kind of check: a singleton. However many ask for it, one run is
// at work at a time, under the fixed ID; a workflow of this type under any
// other ID hands its request to that run, see singleton.go.
type Check struct {
	// Type is the workflow's type, ID the workflow ID of the run at work.
	Type, ID string
	// Trigger is the search attribute Trigger where its Schedule starts it.
	Trigger string
	// Within bounds a run.
	Within time.Duration
}

// The checks. The schedule that starts one has the check's ID.
var (
	HealthCheck = Check{Type: CheckHealthType, ID: "health-check", Trigger: TriggerHealthCheck, Within: 2 * time.Hour}
	PrimaryScan = Check{Type: ScanPrimaryType, ID: "primary-scan", Trigger: TriggerScan, Within: 10 * time.Minute}

	SignatureCheck = Check{Type: CheckSignaturesType, ID: "signature-check", Trigger: TriggerSignatureCheck, Within: 2 * time.Hour}
	ContentCheck   = Check{Type: CheckContentType, ID: "content-check", Trigger: TriggerContentCheck, Within: 6 * time.Hour}
	NSEC3Policy    = Check{Type: EnforceNSEC3Type, ID: "nsec3-policy", Trigger: TriggerNSEC3Policy, Within: 2 * time.Hour}
)

// Checks are all of them.
var Checks = []Check{HealthCheck, PrimaryScan, SignatureCheck, ContentCheck, NSEC3Policy}

// CheckOf returns the check of a workflow type; false when it is none.
func CheckOf(workflowType string) (Check, bool) {
	for _, check := range Checks {
		if check.Type == workflowType {
			return check, true
		}
	}
	return Check{}, false
}

// CheckInput starts a check, and is the payload of [SignalCheck]. All fields
// may be left out.
type CheckInput struct {
	// Trigger is what asks, one of the Trigger constants; by default manual.
	Trigger string `json:"trigger,omitempty"`
	// Reason says in words why, shown in the web UI.
	Reason string `json:"reason,omitempty"`
	// Fresh asks for a round that begins after this request: something has just
	// changed that a round under way may have passed already.
	Fresh bool `json:"fresh,omitempty"`
	// All asks CheckHealth to export every zone again, whatever its serial: after
	// a loss of data a change may be missing at the serial that was published.
	All bool `json:"all,omitempty"`
	// Content asks CheckHealth for a content check too, Signatures for a
	// signature check.
	Content    bool `json:"content,omitempty"`
	Signatures bool `json:"signatures,omitempty"`
	// Sample is how many percent of the zones CheckContent looks at, other ones
	// each day; all by default.
	Sample int `json:"sample,omitempty"`
	// Carried is set where a run goes on as new; the other fields are then what was
	// asked for meanwhile.
	Carried *CarriedCheck `json:"carried,omitempty"`
}

// CarriedCheck is what a run of a check hands to the one that goes on with its round.
type CarriedCheck struct {
	// Result is the report so far, and says where the round stands.
	Result json.RawMessage `json:"result"`
	// Asked is what the round serves, Covered what the rounds before have.
	Asked   CheckInput `json:"asked"`
	Covered CheckInput `json:"covered"`
}

// with returns what serves both requests.
func (in CheckInput) with(other CheckInput) CheckInput {
	in.Fresh = in.Fresh || other.Fresh
	in.All = in.All || other.All
	in.Content = in.Content || other.Content
	in.Signatures = in.Signatures || other.Signatures
	in.Sample = max(in.Sample, other.Sample)
	if other.Reason != "" {
		in.Reason = other.Reason
	}
	return in
}

// beyond returns what a round that did covered has left undone of this request;
// false when that is nothing.
func (in CheckInput) beyond(covered CheckInput) (CheckInput, bool) {
	in.All = in.All && (in.Fresh || !covered.All)
	in.Content = in.Content && (in.Fresh || !covered.Content)
	in.Signatures = in.Signatures && (in.Fresh || !covered.Signatures)
	more := in.Sample > covered.Sample
	return in, in.Fresh || in.All || in.Content || in.Signatures || more
}

// CheckRun is how a run of a check stands, the first part of every check's
// result.
type CheckRun struct {
	// RunID names the run, the first one of those that go on with each other;
	// whoever asked for the check through another workflow learns by it which run
	// served the request.
	RunID   string `json:"run_id"`
	Outcome string `json:"outcome"`
	// Phase says what a running check is doing.
	Phase   string `json:"phase,omitempty"`
	Trigger string `json:"trigger,omitempty"`
	Reason  string `json:"reason,omitempty"`
	// Rounds is more than 1 where requests came that asked for more than the
	// round under way.
	Rounds int `json:"rounds"`
	// Found counts what was found wrong, by kind, Repaired what is right again.
	Found     map[string]int `json:"found,omitempty"`
	Repaired  int            `json:"repaired,omitempty"`
	StartedAt time.Time      `json:"started_at,omitzero"`
	EndedAt   time.Time      `json:"ended_at,omitzero"`
	// Error is what went wrong, with what to do.
	Error string `json:"error,omitempty"`
}

func (r *CheckRun) run() *CheckRun { return r }

// markdown is the first lines of a check's report.
func (r CheckRun) markdown(what string) string {
	text := strings.TrimSpace(fmt.Sprintf("**%s** %s %s", what, r.Outcome, r.Phase))
	if r.Reason != "" {
		text += fmt.Sprintf(" (%s)", r.Reason)
	}
	if r.Error != "" {
		text += "\n\n" + r.Error
	}
	return text
}

// kindsOf returns the kinds that are counted, in the order of the alphabet:
// workflow code must not depend on a map's order.
func kindsOf(counts map[string]int) []string {
	var kinds []string
	//workflowcheck:ignore // the order is made below
	for kind, n := range counts {
		if n != 0 {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// countsOf leaves out what is zero.
func countsOf(counts map[string]int) map[string]int {
	some := make(map[string]int)
	addCounts(some, counts)
	return some
}

// addCounts adds more to counts.
func addCounts(counts, more map[string]int) {
	for _, kind := range kindsOf(more) {
		counts[kind] += more[kind]
	}
}

// countsText is "2 missing, 1 outdated", in the order of the alphabet.
func countsText(counts map[string]int) string {
	var parts []string
	for _, kind := range kindsOf(counts) {
		parts = append(parts, fmt.Sprintf("%d %s", counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}
