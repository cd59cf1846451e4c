package workflows

import (
	"fmt"
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// repair has the secondaries that differ repaired, all at once, and says whether
// any did. Zones that are answered wrongly although they are held right are no
// concern of a reconcile, and whether an orphaned one is left over is for the
// primaries to say.
func (h *healthCheck) repair(ctx workflow.Context) bool {
	var repairs []workflow.Future
	var orphans []string
	together := 0 // are left over, which are more than are named
	for _, s := range h.result.Secondaries {
		if s.Error != "" || s.Found.Wrong() == 0 {
			continue
		}
		in := ReconcileSecondaryInput{Secondary: s.ID, Trigger: TriggerHealthCheck, Reason: "the health check found differences"}
		repairs = append(repairs, join(ctx, ReconcileSecondaryType, in, h.joinWithin(ctx)))
		if zones := s.Found.AnsweredZones; len(zones) > 0 {
			summary := fmt.Sprintf("bring %d zones that %s answers wrongly", len(zones), s.ID)
			repairs = append(repairs, workflow.ExecuteActivity(batching(ctx, SecondaryHostQueue(s.ID), len(zones), summary),
				secondary.ApplyZones, activities.ZonesInput{Zones: zones}))
		}
		orphans = append(orphans, s.Found.OrphanedZones...)
		together = max(together, s.Found.Orphaned)
	}
	if len(orphans) > 0 {
		slices.Sort(orphans)
		orphans = slices.Compact(orphans)
		summary := fmt.Sprintf("ask the primaries about %d zones", len(orphans))
		repairs = append(repairs, workflow.ExecuteActivity(batching(ctx, PrimaryQueue, len(orphans), summary),
			scanner.SyncLeftOvers, activities.LeftOversInput{Zones: orphans, Together: together}))
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
			if err := h.compareOne(ctx, s.ID, true).Get(ctx, &s.Left); err != nil {
				s.Error = hostFailure(s.ID, err)
			}
			left += s.Left.LeftOver + s.Left.Ahead
		}
		if left == 0 || look == settleLooks || workflow.Sleep(ctx, settleWait) != nil {
			return
		}
	}
}
