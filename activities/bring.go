package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
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
// faster than it can be brought is left to the syncs of its later changes then: the
// zone's lock and its place among those at once are not held for ever.
const bringRounds = 4

// bringToNewest is the one function through which every zone of this
// secondary changes. It holds the zone's lock and loops until what is applied
// is what is newest, or bringRounds versions were brought, or the secondary is paused.
func (s *Secondary) bringToNewest(ctx context.Context, zone string, how bringing) (ApplyZoneResult, error) {
	leave, err := s.Gate.enter(zone, s.ID)
	if err != nil {
		return ApplyZoneResult{}, err
	}
	defer leave()
	if just, known, err := s.Applied.Get(zone); err == nil && known && how.done(just, time.Now()) {
		return resultOf(AppliedCurrent, just), nil
	}
	// Asked first before the zone is locked: NATS may be far, and the follower may be
	// bringing the zone meanwhile.
	asking := time.Now()
	newest, _, err := s.Versions.Newest(ctx, zone)
	unlock, lockErr := s.zones.lock(ctx, zone)
	if lockErr != nil {
		return ApplyZoneResult{}, lockErr
	}
	defer unlock()
	outcome := AppliedCurrent
	var gone int64 // the last version whose content was not kept any more
	for locked, rounds := false, 0; ; locked = true {
		if locked {
			newest, _, err = s.Versions.Newest(ctx, zone)
		}
		if errors.Is(err, pdns.ErrNoVersion) {
			return ApplyZoneResult{Outcome: AppliedNone}, nil
		}
		if err != nil {
			return ApplyZoneResult{}, fmt.Errorf("ask NATS for the newest version: %w", err)
		}
		applied, known, err := s.Applied.Get(zone)
		if err != nil {
			return ApplyZoneResult{}, err
		}
		if known && applied.Version > newest.Version {
			if locked {
				return ApplyZoneResult{}, newerApplied(newest, s.ID, applied.Version)
			}
			if !how.force && !how.adopt && s.follows(ctx, applied, asking) {
				return resultOf(AppliedCurrent, applied), nil
			}
			continue
		}
		adopt := how.adopt
		if how.force || how.adopt {
			if applied, err = s.distrust(zone, applied); err != nil {
				return ApplyZoneResult{}, err
			}
			known, how.force, how.adopt = true, false, false
		}
		if known && applied.Stands(newest.Version) && (outcome != AppliedCurrent || s.stands(ctx, newest)) {
			return ApplyZoneResult{Outcome: outcome, Version: newest.Version, Serial: newest.Serial, AppliedAt: applied.AppliedAt}, nil
		}
		_, missing := slices.BinarySearch(how.missing, zone)
		outcome, err = s.bring(ctx, newest, pdns.AppliedIf(applied, known && !missing), adopt, s.content)
		if errors.Is(err, pdns.ErrContentGone) {
			if gone == newest.Version {
				return ApplyZoneResult{}, contentLost(newest, s.ID)
			}
			gone = newest.Version
			continue // a newer version replaced it while we looked
		}
		if err != nil {
			return ApplyZoneResult{}, err
		}
		if outcome == AppliedForeign {
			return ApplyZoneResult{Outcome: outcome, Reason: fmt.Sprintf(
				"zone %s on secondary %s is not ours (another account or other masters) and stays untouched", zone, s.ID)}, nil
		}
		now := pdns.AppliedFrom(newest, time.Now())
		if err := s.Applied.Set(now); err != nil {
			return ApplyZoneResult{}, err
		}
		how.missing = nil
		if rounds++; rounds == bringRounds || !s.Gate.IsOpen() {
			return resultOf(outcome, now), nil
		}
	}
}

// follows says whether a zone was brought to what it is since, and stands there.
// Where it was so before NATS was asked, a newer one is a sign of lost versions.
func (s *Secondary) follows(ctx context.Context, a pdns.Applied, since time.Time) bool {
	return a.AppliedAt.After(since) && !a.Distrusted &&
		s.stands(ctx, pdns.Version{Zone: a.Zone, Version: a.Version, Serial: a.Serial, Deleted: a.Deleted})
}

// resultOf is the answer for a zone that now is what it should be.
func resultOf(outcome string, a pdns.Applied) ApplyZoneResult {
	return ApplyZoneResult{Outcome: outcome, Version: a.Version, Serial: a.Serial, AppliedAt: a.AppliedAt}
}

// opener returns how to open the content of v, as often as PowerDNS asks for it.
type opener func(ctx context.Context, v pdns.Version) (func(context.Context) (io.ReadCloser, error), error)

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

// read returns the content of v from its beginning.
func (open opener) read(ctx context.Context, v pdns.Version) (io.ReadCloser, error) {
	content, err := open(ctx, v)
	if err != nil {
		return nil, err
	}
	reader, err := content(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the content of version %d: %w", v.Version, err)
	}
	return reader, nil
}

// readable says whether the content of v can be had.
func (open opener) readable(ctx context.Context, v pdns.Version) error {
	reader, err := open.read(ctx, v)
	if err != nil {
		return err
	}
	return reader.Close()
}

// bring makes PowerDNS serve v, whatever it serves now. applied is nil where that
// is not known.
func (s *Secondary) bring(ctx context.Context, v pdns.Version, applied *pdns.Applied, adopt bool, open opener) (string, error) {
	switch {
	case adopt || v.Deleted || v.Unproven():
	case applied == nil:
		if made, err := s.createWhole(ctx, v, open); made || err != nil {
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
		return AppliedCurrent, s.flushNew(ctx, v.Zone) // the local state was lost, or never noted, the content was not
	case !missing && v.Unproven() && applied != nil && s.change(ctx, v, *applied, held) == nil:
		return AppliedNow, nil // else in full
	}
	if missing && applied != nil && !adopt && !v.Unproven() { // PowerDNS has lost it
		if made, err := s.createWhole(ctx, v, open); made || err != nil {
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
