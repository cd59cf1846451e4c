package workflows

import (
	"errors"
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// The activity structs, used through nil pointers for their methods' names.
var (
	primary   *activities.Primary
	directory *activities.Directory
	verifier  *activities.Verifier
	secondary *activities.Secondary
	checks    *activities.Checks
	surveyor  *activities.Surveyor
	denial    *activities.Denial
	scanner   *activities.Scanner
)

// noTargets is what a sync says when there is nobody to sync to.
const noTargets = "no secondary to sync to: the roster is empty or all of it is paused; a secondary joins when its worker first registers"

// export asks for the newest version and, at the same time, for the secondaries
// that must have it.
func (s *zoneSync) export(ctx workflow.Context) {
	s.phase = "exporting"
	s.requested = false
	s.exportsBegun++
	s.counts.Exports++
	began, found := workflow.Now(ctx), discover(ctx)
	s.asked = s.proxied
	s.proxied = pdns.NotProxied // what is asked for meanwhile is for the next export
	above := s.above
	result, err := s.exportZone(ctx)
	large := err == nil && result.Outcome == activities.ExportPublished && result.Version.Object != ""
	s.discovered(ctx, discoverAgain(ctx, began, found, large))
	s.exported(ctx, result, err)
	if now := workflow.Now(ctx); above > 0 && s.newest.Version <= above && !s.retryAt.After(now) {
		s.retryAt = now.Add(s.primaries.again(lookAgainWithin)) // secondaries will ask for it again at once
	}
	s.exportsEnded++
	s.nextExport = workflow.Now(ctx).Add(s.timing.MinInterval)
}

// longExport is how long an export takes after which the secondaries are listed once
// more. They are after each one of a large zone, which secondaries do not apply as it is
// published.
const longExport = time.Second

// The changes of the workflow, for the runs that began before.
const (
	changeDiscover      = "discover-after-long-exports"
	changeDiscoverLarge = "discover-after-large-exports"
	changeSubstitute    = "substitutes-fail-not-for-good"
)

// discover lists the secondaries beside an export.
func discover(ctx workflow.Context) workflow.Future {
	return workflow.ExecuteLocalActivity(onLocalWorker(ctx), directory.DiscoverSecondaries, activities.DiscoverSecondariesInput{})
}

// discoverAgain lists the secondaries once more after a long export, or one of a large
// zone: one that joined meanwhile, or was resumed, has compared itself with the version
// before.
func discoverAgain(ctx workflow.Context, began time.Time, found workflow.Future, large bool) workflow.Future {
	var change string
	switch {
	case workflow.Now(ctx).Sub(began) >= longExport:
		change = changeDiscover
	case large:
		change = changeDiscoverLarge
	default:
		return found
	}
	if workflow.GetVersion(ctx, change, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return found
	}
	return discover(ctx)
}

// exportZone exports where it is quickest: beside this workflow if that is the
// primary that took the change, else on that primary, else on any.
func (s *zoneSync) exportZone(ctx workflow.Context) (activities.ExportZoneResult, error) {
	taker := s.primaries.Taker
	asked := s.exportInput(taker)
	asked.Changes = s.asking()
	in := asked
	in.Local, in.Pause = true, s.pause(ctx)
	var result activities.ExportZoneResult
	err := workflow.ExecuteLocalActivity(onLocalWorker(ctx), primary.ExportZone, in).Get(ctx, &result)
	if err == nil && result.Outcome != activities.ExportElsewhere || permanent(err) {
		return result, err
	}
	if taker != "" {
		result, err = s.exportOn(ctx, asked)
		if err == nil || permanent(err) {
			return result, err
		}
		workflow.GetLogger(ctx).Warn("the primary that took the change cannot export it; any other shall",
			"zone", s.in.Zone, "primary", taker, "error", err)
	}
	err = workflow.ExecuteActivity(exporting(ctx, "export "+s.in.Zone), primary.ExportZone, s.exportInput("")).Get(ctx, &result)
	return result, s.notForGood(ctx, err)
}

// substituteError is what another primary than the one that took the change can never do.
type substituteError struct{ taker, failure string }

func (e substituteError) Error() string {
	return fmt.Sprintf("primary %s, which took the change, does not answer; another one: %s", e.taker, e.failure)
}

// notForGood takes an error of another primary than the one that took the change for one
// that passes: what it can never do, such as to export a zone that it is not allowed to
// transfer, the absent one can.
func (s *zoneSync) notForGood(ctx workflow.Context, err error) error {
	if !s.primaries.Owed || !permanent(err) || workflow.GetVersion(ctx, changeSubstitute, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return err
	}
	return substituteError{s.primaries.Taker, failureText(err)}
}

func (s *zoneSync) exportInput(id string) activities.ExportZoneInput {
	return activities.ExportZoneInput{
		Zone: s.in.Zone, Above: s.above, LeftOver: s.in.LeftOver, Together: s.in.Together, Proxied: s.asked,
		Primary: id, Taken: s.primaries.Taken && id == s.primaries.Taker,
	}
}

// exportOn exports on the primary that in names; an error means that it is
// absent, or cannot.
func (s *zoneSync) exportOn(ctx workflow.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
	var result activities.ExportZoneResult
	err := workflow.ExecuteActivity(onPrimaryHost(ctx, in.Primary, "export "+s.in.Zone), primary.ExportZone, in).Get(ctx, &result)
	return result, err
}

// permanent says that no other primary can do better.
func permanent(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(err, &app) && app.NonRetryable()
}

// discovered takes over the targets; where they could not be learned, the
// known ones stay, and the next export asks again.
func (s *zoneSync) discovered(ctx workflow.Context, found workflow.Future) {
	var result activities.DiscoverSecondariesResult
	err := found.Get(ctx, &result)
	if err != nil && !permanent(err) {
		err = workflow.ExecuteActivity(exporting(ctx, "list the secondaries"), directory.DiscoverSecondaries,
			activities.DiscoverSecondariesInput{}).Get(ctx, &result)
	}
	s.lastError = ""
	if err != nil {
		s.lastError = failureText(err)
		if !permanent(err) {
			s.request()
			s.retryAt = workflow.Now(ctx).Add(maxRetryInterval)
		}
		return
	}
	s.targets = result.Targets
	s.lastError = result.Warning
	if len(s.targets) == 0 {
		s.lastError = noTargets
	}
}

// exported takes over what the export found. One that no primary could do for
// now is tried again until one can: the change must not be lost.
func (s *zoneSync) exported(ctx workflow.Context, result activities.ExportZoneResult, err error) {
	s.outcome = ""
	if err == nil {
		result, err = s.agree(ctx, result)
	}
	if err != nil {
		s.outcome, s.lastError = OutcomeFailed, failureText(err)
		if !permanent(err) {
			s.unanswered()
			wait := maxRetryInterval
			if errors.As(err, new(substituteError)) { // for as long as the other one is away
				wait = s.primaries.again(lookAgainWithin)
			}
			s.retryAt = workflow.Now(ctx).Add(wait)
		}
		return
	}
	s.timing = result.Timing
	if result.Reason != "" {
		s.lastError = result.Reason
	}
	switch result.Outcome {
	case activities.ExportUnknown, activities.ExportBehind, activities.ExportGone:
		s.outcome = OutcomeFailed
	case activities.ExportSkipped:
		s.outcome = OutcomeSkipped
	case activities.ExportHeld:
		s.outcome = OutcomeHeld
	}
	s.unproven = result.Unproven
	s.lookAgain(ctx, result)
	if result.Version.Supersedes(s.newest.Version) {
		s.newest = result.Version
	}
	if s.newest.Version > s.above {
		s.above = 0
	}
}

// failureText is what an operator should read of an activity's error: the
// innermost message, without Temporal's wrapping.
func failureText(err error) string {
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &app):
		return app.Message()
	case errors.As(err, &timeout):
		return fmt.Sprintf("timed out (%s)", timeout.TimeoutType())
	}
	return err.Error()
}
