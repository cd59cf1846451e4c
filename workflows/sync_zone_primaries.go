package workflows

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

const (
	// lookAgainAfter is when primaries that disagree, or a database that may lag,
	// are looked at again; from then on after twice as long each time.
	lookAgainAfter  = 2 * time.Second
	lookAgainWithin = 30 * time.Second
	forever         = time.Duration(math.MaxInt64)
)

// primaries is what a sync knows of the primaries. Where there are several,
// the database of one may lag behind another's, and any may be absent.
type primaries struct {
	// Taker took the newest change whose taker is known, at ChangedAt. Taken
	// says that it answered it with success.
	Taker string `json:"taker,omitempty"`
	Taken bool   `json:"taken,omitempty"`
	// Owed says that no export has settled that change yet.
	Owed      bool      `json:"owed,omitempty"`
	ChangedAt time.Time `json:"changed_at,omitzero"`
	// DoubtSince is when they were first found to disagree; AbsentSince, when
	// one that must be asked was first found absent. Zero once they do not.
	DoubtSince  time.Time `json:"doubt_since,omitzero"`
	AbsentSince time.Time `json:"absent_since,omitzero"`
	// Absent are those that AbsentSince counts for.
	Absent []string `json:"absent,omitempty"`
	// Looks counts how often it was looked again since the last change.
	Looks int `json:"looks,omitempty"`
}

// changed notes a change. One that may have failed does not displace a sure
// one: its primary may be one that cannot take changes.
func (p *primaries) changed(ctx workflow.Context, taker string, taken bool) {
	p.Looks = 0
	if taker == "" {
		return
	}
	p.ChangedAt = workflow.Now(ctx)
	if taken || !p.Taken {
		p.Taker, p.Taken, p.Owed = taker, taken, taken
	}
}

// absent notes that some did not answer when they were asked, and returns how long
// they are still waited for: each has maxLag, so one that joins them begins it anew.
func (p *primaries) absent(ids []string, asked, now time.Time, maxLag time.Duration) time.Duration {
	joined := slices.ContainsFunc(ids, func(id string) bool { return !slices.Contains(p.Absent, id) })
	if p.AbsentSince.IsZero() || joined {
		p.AbsentSince = asked
	}
	p.Absent = ids
	return p.AbsentSince.Add(maxLag).Sub(now)
}

// present notes that all answered.
func (p *primaries) present() { p.AbsentSince, p.Absent = time.Time{}, nil }

// unclear is for how long it is worth looking again after this export.
func (p *primaries) unclear(now time.Time, result activities.ExportZoneResult) time.Duration {
	maxLag := result.Timing.MaxLag
	absent := p.AbsentSince.Add(maxLag).Sub(now)
	switch {
	case result.Outcome != activities.ExportGone && result.Outcome != activities.ExportBehind:
		if !substitute(p.Taker, result.Primary) {
			return 0
		}
		return p.ChangedAt.Add(maxLag).Sub(now) // by then the change has reached the one that looked instead
	case p.Taken && (p.AbsentSince.IsZero() || absent <= 0):
		return forever // a change is not given up
	case !p.AbsentSince.IsZero():
		return absent
	}
	return p.DoubtSince.Add(maxLag).Sub(now)
}

// substitute says that another primary exported than the one that took the
// change. An older exporter does not tell its name.
func substitute(taker, exporter string) bool {
	return taker != "" && exporter != "" && exporter != taker
}

// agree has the primaries agree where the one that exported cannot tell alone.
func (s *zoneSync) agree(ctx workflow.Context, found activities.ExportZoneResult) (activities.ExportZoneResult, error) {
	p := &s.primaries
	switch found.Outcome {
	case activities.ExportGone, activities.ExportBehind:
		if p.DoubtSince.IsZero() {
			p.DoubtSince = workflow.Now(ctx)
		}
	default:
		p.DoubtSince = time.Time{}
		p.present()
		return found, nil
	}
	if found.Outcome == activities.ExportGone {
		return s.confirmGone(ctx, found)
	}
	return s.askPublisher(ctx, found)
}

// askPublisher deals with content that contradicts what another primary
// published. That one exports first, and then the first one again: by then they
// usually agree. While the publisher is there and stands by its version,
// nothing is published over it; when it is absent, after MaxLag.
func (s *zoneSync) askPublisher(ctx workflow.Context, behind activities.ExportZoneResult) (activities.ExportZoneResult, error) {
	p, publisher := &s.primaries, behind.Version.Publisher
	s.phase = "asking primary " + publisher
	asked := workflow.Now(ctx)
	again := s.exportInput(behind.Primary)
	if _, err := s.exportOn(ctx, s.exportInput(publisher)); err == nil {
		p.present()
		behind.Reason += ": nothing is published until they agree; see to the replication of their databases"
	} else {
		left := p.absent([]string{publisher}, asked, workflow.Now(ctx), behind.Timing.MaxLag)
		behind.Reason += fmt.Sprintf(" and does not answer: nothing is published for another %s", left.Round(time.Second))
		if left > 0 {
			return behind, nil
		}
		again.Overrule = publisher
	}
	found, err := s.exportOn(ctx, again)
	if err == nil && found.Outcome != activities.ExportBehind {
		return s.agree(ctx, found)
	}
	if err != nil {
		behind.Reason = failureText(err)
	}
	return behind, nil
}

// confirmGone asks the other primaries whether they too say that the zone is
// gone, and has the tombstone published when every present one does. An absent
// one has MaxLag to come back: it may hold a newer zone of this name.
func (s *zoneSync) confirmGone(ctx workflow.Context, gone activities.ExportZoneResult) (activities.ExportZoneResult, error) {
	s.phase = "asking the other primaries"
	asked := workflow.Now(ctx)
	holding, absent := s.askPeers(ctx, gone.Peers)
	if len(holding) > 0 {
		s.primaries.present()
		gone.Reason = fmt.Sprintf("zone %s is gone on primary %s but still on %s: not deleted until they agree", s.in.Zone, gone.Primary, strings.Join(holding, ", "))
		return gone, nil
	}
	if len(absent) > 0 {
		if left := s.primaries.absent(absent, asked, workflow.Now(ctx), gone.Timing.MaxLag); left > 0 {
			gone.Reason = fmt.Sprintf("zone %s is gone on primary %s, but primary %s does not answer: not deleted for another %s",
				s.in.Zone, gone.Primary, strings.Join(absent, ", "), left.Round(time.Second))
			return gone, nil
		}
	}
	var result activities.ExportZoneResult
	err := workflow.ExecuteActivity(exporting(ctx, "publish that "+s.in.Zone+" is gone"), primary.PublishTombstone,
		activities.PublishTombstoneInput{
			Zone: s.in.Zone, Revision: gone.Revision, Above: s.above, Primary: gone.Primary, Proxied: s.asked, Together: s.in.Together,
		}).Get(ctx, &result)
	result.Primary = gone.Primary
	if err != nil || result.Outcome == activities.ExportHeld {
		return result, err
	}
	if !result.Version.Deleted {
		again := fmt.Sprintf("zone %s was published anew while the primaries were asked whether it is gone", s.in.Zone)
		gone.Version, gone.Reason = result.Version, cmp.Or(result.Reason, again)
		return gone, nil
	}
	return s.agree(ctx, result)
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

// lookAgain has the zone exported once more where this export does not settle
// it: the primaries disagree, or another one looked than that which took the
// change, whose database may not have it yet.
func (s *zoneSync) lookAgain(ctx workflow.Context, result activities.ExportZoneResult) {
	p, now := &s.primaries, workflow.Now(ctx)
	left := p.unclear(now, result)
	if left <= 0 {
		p.Owed = p.Owed && s.requested // by a change that came meanwhile
		return
	}
	if result.Reason == "" {
		s.lastError = fmt.Sprintf("primary %s, which took the change, does not answer; primary %s looked instead and may not have it yet: looking again for another %s",
			p.Taker, result.Primary, left.Round(time.Second))
	}
	s.outcome = ""
	s.unanswered()
	s.retryAt = now.Add(p.again(left))
}

// again is how long to wait before it is looked again, with so much time left.
func (p *primaries) again(left time.Duration) time.Duration {
	wait := max(lookAgainAfter, min(lookAgainAfter<<min(p.Looks, 10), lookAgainWithin, left))
	p.Looks++
	return wait
}
