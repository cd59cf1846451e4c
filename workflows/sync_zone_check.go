package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// armCheck sets the deadline of the check from outside by the first unchecked
// change. Later changes do not push it back.
func (s *zoneSync) armCheck(ctx workflow.Context) {
	if s.uncheckedSince.IsZero() || s.requested && s.newest.Version == 0 {
		return
	}
	if s.newest.Version == 0 || len(s.targets) == 0 {
		s.uncheckedSince = time.Time{} // nothing to ask for, or nobody to ask
		return
	}
	if s.timerFor.Equal(s.uncheckedSince) {
		return
	}
	s.timerFor = s.uncheckedSince
	wait := s.uncheckedSince.Add(s.timing.EventCheckWait).Sub(workflow.Now(ctx))
	workflow.GoNamed(ctx, "check deadline", func(ctx workflow.Context) {
		if wait <= 0 || workflow.NewTimerWithOptions(ctx, wait, workflow.TimerOptions{Summary: "check from outside"}).Get(ctx, nil) == nil {
			s.checkDue = true
		}
	})
}

// owesProof says that the newest version must be proven by an export that reads
// the whole zone, once, before it is checked from outside. It is retried like any
// other; where it finds something else, that is the newest version from then on.
func (s *zoneSync) owesProof() bool { return s.unproven && s.provenAt != s.newest.Version }

func (s *zoneSync) prove() {
	s.provenAt = s.newest.Version
	s.request()
}

// check asks from outside what every secondary serves, beside the loop: silent
// secondaries hold up no change. One with an apply in flight is asked in the
// next round.
func (s *zoneSync) check(ctx workflow.Context) {
	s.checkDue, s.checking = false, true
	s.uncheckedSince = time.Time{}
	var targets []activities.Target
	for _, target := range s.targets {
		switch host := s.hosts[target.ID]; {
		case host == nil:
		case host.running:
			s.uncheckedSince = workflow.Now(ctx)
		case host.status.State == StateForeign || host.status.State == StatePaused:
		default:
			targets = append(targets, target)
		}
	}
	workflow.GoNamed(ctx, "check", func(ctx workflow.Context) {
		if wrong := s.verify(ctx, targets); len(wrong) > 0 {
			s.repair(ctx, wrong)
			s.verify(ctx, wrong)
		}
		s.checking = false
		s.show(ctx)
	})
}

// verify asks targets by DNS and returns those that serve something else. A
// version exported meanwhile makes the answers void; its own check follows.
func (s *zoneSync) verify(ctx workflow.Context, targets []activities.Target) []activities.Target {
	if len(targets) == 0 {
		return nil
	}
	version := s.newest
	var result activities.VerifyZoneResult
	err := workflow.ExecuteActivity(verifying(ctx, "ask the secondaries for "+version.Zone), verifier.VerifyZone,
		activities.VerifyZoneInput{Version: version, Targets: targets}).Get(ctx, &result)
	if err != nil {
		s.lastError = "check from outside: " + failureText(err)
		return nil
	}
	var wrong []activities.Target
	for i, served := range result.Served {
		host := s.hosts[targets[i].ID]
		if s.newest.Version != version.Version || host.running {
			continue
		}
		switch served.State {
		case pdns.ServedCurrent:
			// The right serial alone is no proof: only what its worker
			// applied is in sync.
			if host.status.Version == version.Version {
				host.status.State, host.status.Error = StateInSync, ""
			}
		case pdns.ServedSilent:
			host.status.State, host.status.Error = StateLagging, served.Error
		default:
			if host.status.State != StateLagging { // else its worker has said why
				host.status.State = StateOutdated
				host.status.Error = fmt.Sprintf("from outside, %s is %s (serial %d, wanted %d)", targets[i].DNSAddress, served.State, served.Serial, version.Serial)
			}
			wrong = append(wrong, targets[i])
		}
	}
	return wrong
}

// repair syncs the wrong ones again and waits for the end of it.
func (s *zoneSync) repair(ctx workflow.Context, wrong []activities.Target) {
	s.counts.Repaired += len(wrong)
	for _, target := range wrong {
		host := s.hosts[target.ID]
		host.owed = true
		host.start(ctx)
	}
	// An error means that the workflow was cancelled; the loop ends with it.
	_ = workflow.Await(ctx, func() bool {
		for _, target := range wrong {
			if s.hosts[target.ID].running {
				return false
			}
		}
		return true
	})
}
