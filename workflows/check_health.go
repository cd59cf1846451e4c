package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

const (
	// rosterWait and rosterLooks are how long a check waits for a roster that was
	// lost with its bucket: secondaries join again within seconds.
	rosterWait  = 5 * time.Second
	rosterLooks = 4
	// settleWait and settleLooks are how long a check waits for repairs that
	// syncs of their own make.
	settleWait  = 3 * time.Second
	settleLooks = 5
)

// CheckHealthResult is the report of a health check.
type CheckHealthResult struct {
	CheckRun
	// Survey is what the primary holds, was published and must be served.
	Survey activities.SurveyZonesResult `json:"survey,omitzero"`
	// Secondaries says for each secondary what differed, and what does still.
	Secondaries []SecondaryHealth `json:"secondaries,omitempty"`
	// Content and Signatures are the checks that the request asked for besides.
	Content    *SweepResult `json:"content,omitempty"`
	Signatures *SweepResult `json:"signatures,omitempty"`
}

// SecondaryHealth is what a health check found on one secondary.
type SecondaryHealth struct {
	ID string `json:"id"`
	// State is in-sync, or lagging: where its worker does not answer, what its
	// PowerDNS serves is not known to be right.
	State string `json:"state"`
	// Found is what differed at first, Left what still does after the repairs.
	Found activities.CompareZonesResult `json:"found,omitzero"`
	Left  activities.CompareZonesResult `json:"left,omitzero"`
	Error string                        `json:"error,omitempty"`
}

// CheckHealth compares what the primary holds with what was published, and every
// secondary with that; what differs is repaired and compared once more. It is a
// singleton: see singleton.go. Neither zones nor their names go through here,
// whatever their number: they stand in a catalogue, which each secondary's own
// worker compares itself with.
func CheckHealth(ctx workflow.Context, in CheckInput) (CheckHealthResult, error) {
	var h healthCheck
	return singleton(ctx, HealthCheck, in, &h.result, h.round)
}

// healthCheck is the state of one run.
type healthCheck struct{ result CheckHealthResult }

// round compares everything, or in a later round does only what the ones before
// had left out.
func (h *healthCheck) round(ctx workflow.Context, in CheckInput) error {
	if h.result.Rounds == 1 || in.Fresh || in.All {
		if err := h.whole(ctx, in); err != nil {
			return err
		}
	}
	if in.Content {
		h.result.Content = h.other(ctx, ContentCheck, in)
	}
	if in.Signatures {
		h.result.Signatures = h.other(ctx, SignatureCheck, in)
	}
	return nil
}

// other has another check run, over all zones, and takes over its report.
func (h *healthCheck) other(ctx workflow.Context, check Check, in CheckInput) *SweepResult {
	h.phase(ctx, "waiting for "+check.ID)
	var joined activities.JoinWorkflowResult
	ended := &SweepResult{}
	asked := CheckInput{Trigger: TriggerHealthCheck, Reason: in.Reason, Fresh: in.Fresh, Sample: wholeSample}
	err := join(ctx, check.Type, asked, check.Within).Get(ctx, &joined)
	if err == nil {
		err = json.Unmarshal(joined.Result, ended)
	}
	if err != nil {
		ended.Outcome, ended.Error = OutcomeFailed, failureText(err)
	}
	if ended.Outcome != OutcomeInSync {
		h.result.Outcome = OutcomePartial
	}
	return ended
}

func (h *healthCheck) whole(ctx workflow.Context, in CheckInput) error {
	h.phase(ctx, "listing the secondaries")
	h.result.Secondaries = nil
	targets, err := roster(ctx) // first, for the syncs of the survey need it too
	if err != nil {
		return err
	}
	h.phase(ctx, "surveying the primary")
	if err := h.survey(ctx, in.All); err != nil {
		return err
	}
	for _, target := range targets {
		h.result.Secondaries = append(h.result.Secondaries, SecondaryHealth{ID: target.ID})
	}
	h.phase(ctx, "comparing the secondaries")
	h.compare(ctx)
	if h.repair(ctx) {
		h.phase(ctx, "comparing again")
		h.compareAgain(ctx)
	}
	h.judge()
	return nil
}

func (h *healthCheck) survey(ctx workflow.Context, all bool) error {
	in := activities.SurveyZonesInput{Trigger: TriggerHealthCheck, All: all}
	h.result.Survey = activities.SurveyZonesResult{}
	return workflow.ExecuteActivity(surveying(ctx), scanner.SurveyZones, in).Get(ctx, &h.result.Survey)
}

// roster lists the secondaries that take part. None is an error, but a roster
// that was lost fills again.
func roster(ctx workflow.Context) ([]activities.Target, error) {
	for look := 1; ; look++ {
		var found activities.DiscoverSecondariesResult
		err := workflow.ExecuteActivity(onAnyPrimary(ctx, "list the secondaries"), directory.DiscoverSecondaries,
			activities.DiscoverSecondariesInput{}).Get(ctx, &found)
		switch {
		case err != nil || len(found.Targets) > 0:
			return found.Targets, err
		case look == rosterLooks:
			return nil, errors.New(noTargets)
		}
		if err := workflow.Sleep(ctx, rosterWait); err != nil {
			return nil, err
		}
	}
}

// compare has every secondary compare itself, all at once.
func (h *healthCheck) compare(ctx workflow.Context) {
	secondaries := h.result.Secondaries
	found := make([]workflow.Future, len(secondaries))
	for i, s := range secondaries {
		found[i] = h.compareOne(ctx, s.ID)
	}
	for i := range secondaries {
		s := &secondaries[i]
		if err := found[i].Get(ctx, &s.Found); err != nil {
			s.Error = hostFailure(s.ID, err)
		}
		s.Left = s.Found
	}
}

func (h *healthCheck) compareOne(ctx workflow.Context, id string) workflow.Future {
	return workflow.ExecuteActivity(comparing(ctx, id), secondary.CompareZones, activities.CompareZonesInput{Catalogue: h.result.Survey.Catalogue})
}

// repair has the secondaries that differ repaired, all at once, and says whether
// any did. Zones that are answered wrongly although they are held right are no
// concern of a reconcile, and whether an orphaned one is left over is for the
// primaries to say.
func (h *healthCheck) repair(ctx workflow.Context) bool {
	var repairs []workflow.Future
	var orphans []string
	for _, s := range h.result.Secondaries {
		if s.Error != "" || s.Found.Wrong() == 0 {
			continue
		}
		in := ReconcileSecondaryInput{Secondary: s.ID, Trigger: TriggerHealthCheck, Reason: "the health check found differences"}
		repairs = append(repairs, join(ctx, ReconcileSecondaryType, in, reconcileWithin))
		if zones := s.Found.AnsweredZones; len(zones) > 0 {
			summary := fmt.Sprintf("bring %d zones that %s answers wrongly", len(zones), s.ID)
			repairs = append(repairs, workflow.ExecuteActivity(batching(ctx, SecondaryHostQueue(s.ID), len(zones), summary),
				secondary.ApplyZones, activities.ZonesInput{Zones: zones}))
		}
		orphans = append(orphans, s.Found.OrphanedZones...)
	}
	if len(orphans) > 0 {
		slices.Sort(orphans)
		orphans = slices.Compact(orphans)
		summary := fmt.Sprintf("ask the primaries about %d zones", len(orphans))
		repairs = append(repairs, workflow.ExecuteActivity(batching(ctx, PrimaryQueue, len(orphans), summary),
			scanner.SyncLeftOvers, activities.ZonesInput{Zones: orphans}))
	}
	h.phase(ctx, "repairing")
	for _, repair := range repairs {
		// What a repair could not do, the next compare finds.
		if err := repair.Get(ctx, nil); err != nil {
			h.result.Error = failureText(err)
		}
	}
	return len(repairs) > 0
}

// compareAgain compares the secondaries that differed, until nothing is left or
// no more is being repaired.
func (h *healthCheck) compareAgain(ctx workflow.Context) {
	for look := 1; ; look++ {
		left := 0
		for i := range h.result.Secondaries {
			s := &h.result.Secondaries[i]
			if s.Error != "" || s.Left.Wrong() == 0 {
				continue
			}
			s.Left = activities.CompareZonesResult{}
			if err := h.compareOne(ctx, s.ID).Get(ctx, &s.Left); err != nil {
				s.Error = hostFailure(s.ID, err)
			}
			left += s.Left.LeftOver + s.Left.Ahead
		}
		if left == 0 || look == settleLooks || workflow.Sleep(ctx, settleWait) != nil {
			return
		}
	}
}

// judge sums up. Zones of the names are in the counts; those for the repairs have
// served.
func (h *healthCheck) judge() {
	r := &h.result
	found := map[string]int{
		"unpublished": r.Survey.Drift.Unpublished, "changed": r.Survey.Drift.Changed, "gone": r.Survey.Drift.Gone,
	}
	if r.Survey.Left > 0 {
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

func (h *healthCheck) phase(ctx workflow.Context, phase string) {
	h.result.Phase = phase
	workflow.SetCurrentDetails(ctx, h.result.Markdown())
}

// Markdown renders the report for the web UI and the command line.
func (r CheckHealthResult) Markdown() string {
	var b strings.Builder
	b.WriteString(r.CheckRun.markdown("health check"))
	fmt.Fprintf(&b, "\n\nprimary %s: %d zones to serve; %s", r.Survey.Primary, r.Survey.Zones, driftText(r.Survey.Drift))
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
