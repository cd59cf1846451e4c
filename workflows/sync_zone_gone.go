package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// askGoneAgain is when primaries that disagree are asked again.
const askGoneAgain = 2 * time.Second

// confirmGone asks the other primaries whether they too say that the zone is
// gone, and has the tombstone published when every present one does. An absent
// one has MaxLag to come back: it may hold a newer zone of this name.
func (s *zoneSync) confirmGone(ctx workflow.Context, gone activities.ExportZoneResult, proxied pdns.Proxied) (activities.ExportZoneResult, error) {
	s.phase = "asking the other primaries"
	if s.goneSince.IsZero() {
		s.goneSince = workflow.Now(ctx)
	}
	holding, absent := s.askPeers(ctx, gone.Peers)
	wait := time.Duration(0)
	switch {
	case len(holding) > 0:
		wait = askGoneAgain
		gone.Reason = fmt.Sprintf("zone %s is gone on one primary but still on %s: not deleted until they agree", s.in.Zone, strings.Join(holding, ", "))
	case len(absent) > 0:
		wait = s.goneSince.Add(gone.Timing.MaxLag).Sub(workflow.Now(ctx))
		gone.Reason = fmt.Sprintf("zone %s is gone, but primary %s does not answer: not deleted for another %s", s.in.Zone, strings.Join(absent, ", "), wait.Round(time.Second))
	}
	if wait > 0 {
		gone.RecheckAfter = wait
		return gone, nil
	}
	s.goneSince = time.Time{}
	var result activities.ExportZoneResult
	err := workflow.ExecuteActivity(onAnyPrimary(ctx, "publish that "+s.in.Zone+" is gone"), primary.PublishTombstone,
		activities.PublishTombstoneInput{Zone: s.in.Zone, Revision: gone.Revision, Above: s.above, Proxied: proxied}).Get(ctx, &result)
	return result, err
}

// askPeers returns the primaries that still hold the zone and those that do
// not answer.
func (s *zoneSync) askPeers(ctx workflow.Context, peers []string) (holding, absent []string) {
	answers := make([]workflow.Future, len(peers))
	for i, id := range peers {
		answers[i] = workflow.ExecuteActivity(onPrimaryHost(ctx, id, "is "+s.in.Zone+" gone?"),
			primary.ConfirmGone, activities.ConfirmGoneInput{Zone: s.in.Zone})
	}
	for i, id := range peers {
		var answer activities.ConfirmGoneResult
		switch err := answers[i].Get(ctx, &answer); {
		case err != nil:
			absent = append(absent, id)
		case !answer.Gone:
			holding = append(holding, id)
		}
	}
	return holding, absent
}
