package workflows

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

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
	// reportWithin is how long what comes after the last wait for another workflow
	// may take: to compare once more, and to tell.
	reportWithin = 15 * time.Minute
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
	err := join(ctx, check.Type, asked, h.joinWithin(ctx)).Get(ctx, &joined)
	if err == nil {
		err = json.Unmarshal(joined.Result, ended)
	}
	if err != nil {
		ended.Outcome, ended.Error = OutcomeFailed, fmt.Sprintf("%s has no report yet: %s", check.ID, failureText(err))
	}
	if ended.Outcome != OutcomeInSync && h.result.Outcome != OutcomeFailed {
		h.result.Outcome = OutcomePartial
	}
	return ended
}

// joinWithin is how long this check waits for another workflow: a report that tells
// of one that has not ended is better than none.
func (h *healthCheck) joinWithin(ctx workflow.Context) time.Duration {
	return max(time.Minute, h.result.left(ctx, HealthCheck)-reportWithin)
}

func (h *healthCheck) whole(ctx workflow.Context, in CheckInput) error {
	h.phase(ctx, "listing the secondaries")
	h.result.Secondaries = nil
	targets, err := roster(ctx, in.All) // first, for the syncs of the survey need it too
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
// that was lost fills again; whole waits for all that are reachable, since a check
// after a loss is for all of them.
func roster(ctx workflow.Context, whole bool) ([]activities.Target, error) {
	for look := 1; ; look++ {
		var found activities.DiscoverSecondariesResult
		err := workflow.ExecuteActivity(onAnyPrimary(ctx, "list the secondaries"), directory.DiscoverSecondaries,
			activities.DiscoverSecondariesInput{}).Get(ctx, &found)
		switch {
		case err != nil:
			return nil, err
		case len(found.Targets) > 0 && (!whole || len(found.Missing) == 0 || look == rosterLooks):
			return found.Targets, nil
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
		found[i] = h.compareOne(ctx, s.ID, false)
	}
	for i := range secondaries {
		s := &secondaries[i]
		if err := found[i].Get(ctx, &s.Found); err != nil {
			s.Error = hostFailure(s.ID, err)
		}
		s.Left = s.Found
	}
}

func (h *healthCheck) compareOne(ctx workflow.Context, id string, repaired bool) workflow.Future {
	in := activities.CompareZonesInput{Catalogue: h.result.Survey.Catalogue, Repaired: repaired}
	return workflow.ExecuteActivity(comparing(ctx, id), secondary.CompareZones, in)
}

func (h *healthCheck) phase(ctx workflow.Context, phase string) {
	h.result.Phase = phase
	workflow.SetCurrentDetails(ctx, h.result.Markdown())
}
