package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// bringing is how a zone is brought, besides by what is known of it.
type bringing struct {
	// force has it transferred in any case: what is served is known to be wrong
	// although nothing here tells.
	force bool
	// adopt has a foreign zone taken over.
	adopt bool
	// known are versions that were the newest when this was asked for. A zone of
	// which just that was seen served a moment ago is not looked at again.
	known map[string]int64
	// turn waits until the zone's turn has come among the many of batches and full
	// compares, and takes it until free is called, once or more often. Nil is a zone
	// that does not wait.
	turn func(context.Context) (free func(), err error)
	// missing are zones, sorted, that PowerDNS was found not to hold: what was applied
	// of one says nothing about how to bring it.
	missing []string
}

// justApplied is how long an apply counts as just seen.
const justApplied = time.Minute

// done reports whether a has just become what is asked for.
func (how bringing) done(a pdns.Applied, now time.Time) bool {
	age := now.Sub(a.AppliedAt)
	return !how.force && !how.adopt && how.known[a.Zone] > 0 && a.Stands(how.known[a.Zone]) && age >= 0 && age < justApplied
}

// bringRounds is how many versions of a zone are brought in a row. One that changes
// faster than it can be brought is left to the syncs of its later changes then, and
// neither keeps its place among those at once nor a `pause` waiting for ever.
const bringRounds = 4

// bringToNewest is the one function through which every zone of this
// secondary changes. It loops until what is applied is what is newest, or bringRounds
// versions were brought, or the secondary is paused.
func (s *Secondary) bringToNewest(ctx context.Context, zone string, how bringing) (ApplyZoneResult, error) {
	leave, err := s.Gate.enter(zone, s.ID)
	if err != nil {
		return ApplyZoneResult{}, err
	}
	defer leave()
	if just, known, err := s.Applied.Get(zone); err == nil && known && how.done(just, time.Now()) {
		return resultOf(AppliedCurrent, just), nil
	}
	var did string // to the version before
	var gone int64 // the last version whose content was not kept any more
	for rounds, older := 0, false; ; {
		before, _, err := s.Applied.Get(zone)
		if err != nil {
			return ApplyZoneResult{}, err
		}
		// The zone is not locked, nor is a place of those at once taken: NATS may be
		// far, and the follower may be bringing the zone meanwhile.
		newest, content, err := s.Versions.Fetch(ctx, zone)
		switch {
		case errors.Is(err, pdns.ErrNoVersion):
			return ApplyZoneResult{Outcome: AppliedNone}, nil
		case err != nil:
			return ApplyZoneResult{}, fmt.Errorf("ask NATS for the newest version: %w", err)
		case before.Version > newest.Version && !older: // the follower may be just at it
			older = true
			continue
		case before.Version > newest.Version:
			return ApplyZoneResult{}, newerApplied(newest, s.ID, before.Version)
		case did != "" && before.Stands(newest.Version):
			return resultOf(did, before), nil
		}
		outcome, applied, err := s.bringTo(ctx, newest, s.carried(content), &how)
		switch {
		case errors.Is(err, pdns.ErrContentGone) && gone == newest.Version:
			return ApplyZoneResult{}, contentLost(newest, s.ID)
		case errors.Is(err, pdns.ErrContentGone): // a newer version replaced it while we looked
			gone = newest.Version
			continue
		case err != nil:
			return ApplyZoneResult{}, err
		case outcome == "":
			continue
		case outcome == AppliedForeign:
			return ApplyZoneResult{Outcome: outcome, Reason: fmt.Sprintf(
				"zone %s on secondary %s is not ours (another account or other masters) and stays untouched", zone, s.ID)}, nil
		case outcome == AppliedCurrent:
			return resultOf(cmp.Or(did, outcome), applied), nil
		}
		did, how.missing = outcome, nil
		if rounds++; rounds == bringRounds || !s.Gate.IsOpen() {
			return resultOf(outcome, applied), nil
		}
	}
}

// bringTo brings a zone to v, which was the newest version a moment ago, and returns
// what it is now. An empty outcome says that v is not the newest any more, and that
// what came since may not be served. Of how, what was done once is taken out.
func (s *Secondary) bringTo(ctx context.Context, v pdns.Version, open opener, how *bringing) (outcome string, applied pdns.Applied, err error) {
	free := func() {}
	if how.turn != nil {
		if free, err = how.turn(ctx); err != nil {
			return "", applied, err
		}
		defer free()
	}
	unlock, err := s.zones.lock(ctx, v.Zone)
	if err != nil {
		return "", applied, err
	}
	defer unlock()
	applied, known, err := s.Applied.Get(v.Zone)
	if err == nil && (how.force || how.adopt) {
		known, how.force = true, false
		applied, err = s.distrust(v.Zone, applied)
	}
	switch {
	case err != nil:
		return "", applied, err
	case applied.Version > v.Version: // somebody brought it since
		if !applied.Distrusted && s.stands(ctx, pdns.Version{Zone: v.Zone, Version: applied.Version, Serial: applied.Serial, Deleted: applied.Deleted}) {
			outcome = AppliedCurrent
		}
		return outcome, applied, nil
	case known && applied.Stands(v.Version) && s.stands(ctx, v):
		return AppliedCurrent, applied, nil
	}
	_, missing := slices.BinarySearch(how.missing, v.Zone)
	outcome, err = s.bring(ctx, v, pdns.AppliedIf(applied, known && !missing), how.adopt, open, free)
	if err != nil || outcome == AppliedForeign {
		return outcome, applied, err
	}
	how.adopt = false
	applied = pdns.AppliedFrom(v, time.Now())
	return outcome, applied, s.Applied.Set(applied)
}

// resultOf is the answer for a zone that now is what it should be.
func resultOf(outcome string, a pdns.Applied) ApplyZoneResult {
	return ApplyZoneResult{Outcome: outcome, Version: a.Version, Serial: a.Serial, AppliedAt: a.AppliedAt}
}

// distrust notes that what was applied, if anything, is not known to be served:
// whoever brings the zone next, now or after a failure, transfers it whatever it
// looks like. That it never goes back to an older version stays.
func (s *Secondary) distrust(zone string, applied pdns.Applied) (pdns.Applied, error) {
	applied.Zone, applied.Distrusted = zone, true
	return applied, s.Applied.Set(applied)
}

// handing notes, before PowerDNS gets anything of v, that it may serve v from now
// on. Where we are killed before that is seen and noted, and NATS then answers with
// an older version (a restored one, a replica that lags), the zone does not go back.
//
// For the same reason a call that changes the content of a zone, or deletes it, is not
// given up with ctx, only by the client's own bound: PowerDNS may carry it out later,
// over what came since.
//
// undo notes what was noted before: only where PowerDNS surely got nothing.
func (s *Secondary) handing(v pdns.Version) (undo func() error, err error) {
	before, known, err := s.Applied.Get(v.Zone)
	if err != nil {
		return nil, err
	}
	s.ours.forget(v.Zone)
	handed := before
	handed.Version = v.Version
	_, err = s.distrust(v.Zone, handed)
	return func() error {
		if known {
			return s.Applied.Set(before)
		}
		return s.Applied.Delete(v.Zone)
	}, err
}

// bring makes PowerDNS serve v, whatever it serves now. applied is nil where that
// is not known. free is called before it waits for others.
func (s *Secondary) bring(ctx context.Context, v pdns.Version, applied *pdns.Applied, adopt bool, open opener, free func()) (string, error) {
	switch {
	case adopt || v.Deleted || v.Unproven():
	case applied == nil:
		if made, err := s.createWhole(ctx, v, open, free); made || err != nil {
			return AppliedNow, err
		}
	default:
		err := s.amend(ctx, v, *applied)
		if err == nil {
			return AppliedNow, nil
		}
		if !errors.Is(err, errNotOurs) {
			err = s.replace(ctx, v, open)
		}
		if !errors.Is(err, errNotOurs) {
			return AppliedNow, err
		}
	}
	_, ended := trace.Start(ctx, "apply look")
	held, err := s.PowerDNS.Zone(ctx, v.Zone)
	ended(err)
	missing := errors.Is(err, api.ErrNotFound)
	switch {
	case err != nil && !missing:
		return "", fmt.Errorf("ask the local PowerDNS for the zone: %w", err)
	case !missing && !held.OwnedBy(pdns.Account, s.Master):
		if !adopt || v.Deleted {
			return AppliedForeign, nil
		}
		if err = open.readable(ctx, v); err == nil { // before anything of it is gone
			missing, err = s.takeOver(ctx, held)
		}
		if err != nil {
			return "", err
		}
	case v.Deleted:
		return AppliedDelete, s.remove(ctx, v, missing)
	case !missing && applied == nil && held.Serial == v.Serial && s.holds(ctx, v) == nil:
		return AppliedCurrent, s.flushNew(ctx, v.Zone, free) // the local state was lost, or never noted, the content was not
	case !missing && v.Unproven() && applied != nil && s.change(ctx, v, *applied, held) == nil:
		return AppliedNow, nil // else in full
	}
	if missing && applied != nil && !adopt && !v.Unproven() { // PowerDNS has lost it
		if made, err := s.createWhole(ctx, v, open, free); made || err != nil {
			return AppliedNow, err
		}
	}
	content, err := open(ctx, v)
	if err != nil {
		return "", err
	}
	if missing {
		_, ended := trace.Start(ctx, "apply create")
		err := s.storing.beside(ctx, func() error {
			return s.PowerDNS.CreateSecondaryZone(ctx, v.Zone, s.Master, pdns.Account)
		})
		ended(err)
		if errors.Is(err, api.ErrRejected) {
			err = fmt.Errorf("%w: %w", errCannotHold, err)
		}
		if err != nil {
			return "", fmt.Errorf("create the zone: %w", err)
		}
		s.patching.forget(v.Zone)
	}
	before := s.served(ctx, v.Zone)
	if !missing {
		before = before.with(held)
	}
	if err := s.install(ctx, v, content, func() standing { return before }); err != nil {
		return "", err
	}
	if v.Unproven() {
		s.Metrics.delta(deltaInFull)
	}
	return AppliedNow, nil
}
