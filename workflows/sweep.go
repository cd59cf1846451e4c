package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// sweep goes through all zones once: a primary lists what should be served, a
// part of the zones at a time, and every secondary compares itself with the list.
// What is wrong is exported afresh, transferred again and compared once more.
type sweep struct {
	// check names the syncs that it starts, and their trigger.
	check  Check
	result *SweepResult
	// survey and compare are the activities' names; outside is that of a look
	// from outside at a sample, nil for none.
	survey, compare, outside any
	share                    pdns.Share
	show                     func(workflow.Context)

	targets []activities.Target
	batches int
	// wrongOutside are the zones that the last look from outside found wrong.
	wrongOutside []string
}

func (s *sweep) run(ctx workflow.Context) error {
	after, err := s.begin(ctx)
	if err != nil {
		return err
	}
	for {
		s.phase(ctx, fmt.Sprintf("looking at the primary's zones after %q", after))
		part, err := s.list(ctx, activities.SurveyInput{After: after, Share: s.share})
		if err != nil {
			return err
		}
		s.surveyed(part)
		s.phase(ctx, fmt.Sprintf("comparing %d zones", part.Zones))
		wrong := append(s.compareAll(ctx, part, firstLook), part.Contested...)
		slices.Sort(wrong)
		if wrong = slices.Compact(wrong); len(wrong) > 0 {
			if err := s.repair(ctx, wrong); err != nil {
				return err
			}
		}
		if after = part.After; after == "" {
			break
		}
		if grown(ctx) {
			s.result.Rest = &SweepRest{After: after, Targets: s.targets}
			return errGrown
		}
	}
	s.judge()
	return nil
}

// begin forgets what a round before has found, or goes on with one that was left
// to this run, after the zone that it returns.
func (s *sweep) begin(ctx workflow.Context) (after string, err error) {
	if rest := s.result.Rest; rest != nil {
		s.targets, s.result.Rest = rest.Targets, nil
		s.result.Found, s.result.Surveyed = countsOf(s.result.Found), countsOf(s.result.Surveyed) // none, where nothing was
		return rest.After, nil
	}
	s.phase(ctx, "listing the secondaries")
	if s.targets, err = roster(ctx, false); err != nil {
		return "", err
	}
	*s.result = SweepResult{CheckRun: s.result.CheckRun, Surveyed: make(map[string]int)}
	s.result.Found = make(map[string]int)
	for _, target := range s.targets {
		s.result.Secondaries = append(s.result.Secondaries, SweptSecondary{ID: target.ID, State: StateInSync})
	}
	return "", nil
}

// list has a primary make the list of the next zones.
func (s *sweep) list(ctx workflow.Context, in activities.SurveyInput) (activities.SurveyResult, error) {
	var part activities.SurveyResult
	err := workflow.ExecuteActivity(sweeping(ctx, PrimaryQueue, "list what should be served"), s.survey, in).Get(ctx, &part)
	return part, err
}

func (s *sweep) surveyed(part activities.SurveyResult) {
	s.result.Zones += part.Zones
	addCounts(s.result.Surveyed, part.Outcomes)
	if n := part.Outcomes[activities.SurveyedPublished]; n > 0 {
		// Published is repaired: the comparison looks after the secondaries.
		addCounts(s.result.Found, map[string]int{"changed": n})
		s.result.Repaired += n
	}
	if n := len(part.Contested); n > 0 {
		addCounts(s.result.Found, map[string]int{"contested": n})
		s.result.Repaired += n // less those that are so at the second look
	}
	s.result.Unrenewable = few(s.result.Unrenewable, part.Unrenewable)
	s.result.Unanswerable = few(s.result.Unanswerable, part.Unanswerable)
	s.result.Failed = few(s.result.Failed, part.Failed)
	if part.Reason != "" {
		s.result.Error = part.Reason
	}
}

// look says which look at a zone it is: only what the first one finds is counted
// as found, and what the second one still finds is left.
type look bool

const (
	firstLook  look = true
	secondLook look = false
)

// compareAll has every secondary that answers compare itself with a list, all at
// once, and returns the zones that are wrong, once for each that finds so.
func (s *sweep) compareAll(ctx workflow.Context, part activities.SurveyResult, look look) []string {
	if part.List == "" {
		return nil
	}
	var outside workflow.Future
	if s.outside != nil && (look == firstLook || len(s.wrongOutside) > 0) {
		in := activities.VerifySignaturesInput{List: part.List, Rules: part.Rules, Targets: s.targets}
		if look == secondLook {
			in.Zones = s.wrongOutside
		}
		outside = workflow.ExecuteActivity(verifying(ctx, "ask from outside"), s.outside, in)
	}
	answers := make([]workflow.Future, len(s.targets))
	for i := range s.targets {
		secondary := s.result.Secondaries[i]
		if secondary.State == StateLagging {
			continue // it is not waited for again
		}
		in := activities.CompareInput{
			List: part.List, Rules: part.Rules, Expires: secondary.Expires, Last: look == firstLook && part.After == "",
		}
		answers[i] = workflow.ExecuteActivity(sweeping(ctx, SecondaryHostQueue(secondary.ID), "compare "+secondary.ID), s.compare, in)
	}
	var wrong []string
	for i := range s.targets {
		secondary := &s.result.Secondaries[i]
		if answers[i] == nil {
			continue
		}
		found, err := s.answer(ctx, answers[i], &secondary.Swept, look)
		if err != nil {
			secondary.State, secondary.Error = StateLagging, hostFailure(secondary.ID, err)
		}
		wrong = append(wrong, found...)
	}
	if outside != nil {
		found, err := s.answer(ctx, outside, &s.result.Outside, look)
		if err != nil {
			s.result.Outside.Error = failureText(err)
		}
		s.wrongOutside = slices.Compact(slices.Clone(found))
		wrong = append(wrong, found...)
	}
	return wrong
}

// answer takes in what one comparison found.
func (s *sweep) answer(ctx workflow.Context, answer workflow.Future, swept *Swept, look look) ([]string, error) {
	var found activities.CompareResult
	if err := answer.Get(ctx, &found); err != nil {
		return nil, err
	}
	if look == secondLook {
		swept.Left += len(found.Wrong)
		s.result.Left = few(s.result.Left, found.Wrong)
		return found.Wrong, nil
	}
	swept.take(found)
	addCounts(s.result.Found, found.Faults)
	return found.Wrong, nil
}

// repair has the wrong zones exported afresh and transferred again by every
// secondary, and looks once more.
func (s *sweep) repair(ctx workflow.Context, wrong []string) error {
	s.phase(ctx, fmt.Sprintf("syncing %d zones", len(wrong)))
	s.syncAll(ctx, wrong)
	s.phase(ctx, fmt.Sprintf("comparing %d zones again", len(wrong)))
	part, err := s.list(ctx, activities.SurveyInput{Zones: wrong})
	if err != nil {
		return err
	}
	s.compareAll(ctx, part, secondLook)
	s.result.Contested += len(part.Contested)
	s.result.Left = few(s.result.Left, part.Contested)
	return nil
}

// syncAll syncs zones in batches, all of them at once, and waits. What goes wrong
// shows when the zones are compared again.
func (s *sweep) syncAll(ctx workflow.Context, zones []string) {
	var batches []workflow.ChildWorkflowFuture
	for batch := range slices.Chunk(zones, MaxBatch) {
		s.batches++
		name := checkBatch(ctx, s.check, s.batches)
		in := SyncZonesInput{Zones: batch, Trigger: s.check.Trigger, Force: true, Unchecked: true}
		batches = append(batches, syncBatch(ctx, name, in))
	}
	for _, batch := range batches {
		var synced SyncZonesResult
		if err := batch.Get(ctx, &synced); err != nil {
			s.result.Error = failureText(err)
		} else if synced.Error != "" {
			s.result.Error = synced.Error
		}
	}
}

// judge says how the check ended.
func (s *sweep) judge() {
	r := s.result
	all, lagging := []Swept{r.Outside}, 0
	for i := range r.Secondaries {
		secondary := &r.Secondaries[i]
		if secondary.Left > 0 {
			secondary.State = StateOutdated
		}
		if secondary.State != StateInSync {
			lagging++
		}
		all = append(all, secondary.Swept)
	}
	for _, swept := range all {
		r.Repaired += swept.Found - swept.Left
	}
	r.Repaired -= r.Contested
	if lagging > 0 || r.Contested > 0 || r.Outside.Left > 0 || r.Outside.Error != "" || len(r.Unrenewable) > 0 || len(r.Unanswerable) > 0 || len(r.Failed) > 0 {
		r.Outcome = OutcomePartial
	} else {
		r.Error = "" // what was wrong on the way has been mended
	}
	if len(r.Unanswerable) > 0 && r.Error == "" { // it lasts, and must hide nothing else
		r.Error = fmt.Sprintf("%d zones are signed and hold ALIAS or LUA records, such as %s: secondaries, without the keys, answer nothing for these names; "+
			"replace the records, or do not sign the zones", r.Surveyed[activities.SurveyedUnanswerable], r.Unanswerable[0])
	}
	if len(r.Unrenewable) > 0 {
		r.Error = fmt.Sprintf("the signatures of %d zones end soon on the primary itself, such as those of %s: who signs them must renew these",
			r.Surveyed[activities.SurveyedUnrenewable], r.Unrenewable[0])
	}
}

// checkBatch names the batch of syncs that a check starts with this number.
func checkBatch(ctx workflow.Context, check Check, number int) string {
	return fmt.Sprintf("%s-%s-%d", check.ID, workflow.GetInfo(ctx).WorkflowExecution.RunID, number)
}

func (s *sweep) phase(ctx workflow.Context, phase string) {
	s.result.Phase = phase
	s.show(ctx)
}

// sweeping is for one part of the zones, on a primary or on one secondary, whose
// worker may not answer.
func sweeping(ctx workflow.Context, queue, summary string) workflow.Context {
	const zones = 1000 // or twice as many, of which each takes less
	return batching(ctx, queue, zones, summary)
}
