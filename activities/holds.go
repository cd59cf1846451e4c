package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// movedAtOnce is how many zones whose held change nobody asks for any more one review
// has synced: about as many as are done before the next one.
const movedAtOnce = 10_000

// ReviewHoldInput names a hold.
type ReviewHoldInput struct {
	Hold string `json:"hold"`
}

// HoldReview is what a hold is made of at one moment.
type HoldReview struct {
	// Open counts the changes that a decision is about, and Digest stands for
	// exactly these; Zones are the first few.
	Open   int      `json:"open"`
	Digest string   `json:"digest,omitempty"`
	Zones  []string `json:"zones,omitempty"`
	// Undecided, Approved and Rejected count all changes of the hold. Approved
	// ones are on their way.
	Undecided int `json:"undecided"`
	Approved  int `json:"approved,omitempty"`
	Rejected  int `json:"rejected,omitempty"`
	// Reason is why the first of Zones is held, Since when it was.
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since,omitzero"`
}

// ReviewHold says what a hold is made of, after forgetting what nobody asks for any
// more: changes of a version that is not the newest. Where the primary holds
// something else by now, it has the zone synced, which settles it. Doing it twice
// is harmless.
func (p *Primary) ReviewHold(ctx context.Context, in ReviewHoldInput) (HoldReview, error) {
	defer beat(ctx, func() any { return in.Hold })()
	changes, err := p.heldIn(ctx, in.Hold)
	if err != nil {
		return HoldReview{}, classify(fmt.Errorf("review hold %s: %w", in.Hold, err))
	}
	changes, moved, err := p.sift(ctx, changes)
	slices.SortFunc(moved, func(a, b pdns.HeldChange) int { return strings.Compare(a.Zone, b.Zone) })
	moved = moved[:min(len(moved), movedAtOnce)]
	if err == nil && len(moved) > 0 {
		err = p.start(ctx, "moved-"+pdns.HoldDigest(moved), moved)
	}
	if err != nil {
		return HoldReview{}, classify(fmt.Errorf("review hold %s: %w", in.Hold, err))
	}
	return review(changes), nil
}

func review(changes []pdns.HeldChange) HoldReview {
	open := pdns.Deciding(changes, "")
	r := HoldReview{Open: len(open)}
	for _, h := range changes {
		switch h.Decision {
		case pdns.Approved:
			r.Approved++
		case pdns.Rejected:
			r.Rejected++
		default:
			r.Undecided++
		}
	}
	if len(open) == 0 {
		return r
	}
	r.Digest, r.Reason, r.Since = pdns.HoldDigest(open), open[0].Reason, open[0].Since
	for _, h := range open[:min(len(open), namesShown)] {
		r.Zones = append(r.Zones, h.Zone)
	}
	return r
}

// DecideHoldInput is a decision about exactly the changes that Digest stands for.
type DecideHoldInput struct {
	Hold     string        `json:"hold"`
	Decision pdns.Decision `json:"decision"`
	Digest   string        `json:"digest"`
}

// DecideHoldResult says what became of a decision.
type DecideHoldResult struct {
	// Decided counts the changes that it reached; 0 where the hold is not what
	// was decided about any more.
	Decided int `json:"decided"`
}

// DecideHold notes a decision about a hold, and has approved changes made. A
// second attempt finds what the first one noted and goes on; where something of
// it was published meanwhile, the rest must be decided anew. Without a digest nothing
// is decided: a person decides about what he has seen.
func (p *Primary) DecideHold(ctx context.Context, in DecideHoldInput) (DecideHoldResult, error) {
	defer beat(ctx, func() any { return in.Hold })()
	if in.Digest == "" {
		return DecideHoldResult{}, nil
	}
	changes, err := p.heldIn(ctx, in.Hold)
	if err != nil {
		return DecideHoldResult{}, classify(fmt.Errorf("decide about hold %s: %w", in.Hold, err))
	}
	var decided []pdns.HeldChange
	for _, change := range pdns.Deciding(changes, in.Digest) {
		reached, err := p.Guard.List.Decide(ctx, change, in.Decision, in.Digest)
		if err != nil {
			return DecideHoldResult{}, classify(fmt.Errorf("decide about hold %s: %w", in.Hold, err))
		}
		if reached {
			decided = append(decided, change)
		}
	}
	if in.Decision == pdns.Approved {
		if err := p.start(ctx, "approved-"+in.Digest, decided); err != nil {
			return DecideHoldResult{}, classify(fmt.Errorf("carry out what was approved of hold %s: %w", in.Hold, err))
		}
	}
	return DecideHoldResult{Decided: len(decided)}, nil
}

// heldIn lists the changes of one hold.
func (p *Primary) heldIn(ctx context.Context, hold string) ([]pdns.HeldChange, error) {
	all, err := p.Guard.List.All(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(h pdns.HeldChange) bool { return h.Hold() != hold }), nil
}

// sift forgets the changes whose base was followed by another version, and returns
// the others. Those in moved are not what the local PowerDNS asks for now.
func (p *Primary) sift(ctx context.Context, changes []pdns.HeldChange) (kept, moved []pdns.HeldChange, err error) {
	if len(changes) == 0 {
		return nil, nil, nil
	}
	there, err := p.zonesByName(ctx)
	if err != nil {
		return nil, nil, err
	}
	for _, change := range changes {
		newest, _, err := p.Versions.Newest(ctx, change.Zone)
		if err != nil && !errors.Is(err, pdns.ErrNoVersion) {
			return nil, nil, err
		}
		if newest.Version != change.Base || newest.Deleted {
			if err := p.Guard.Holds.Release(ctx, change); err != nil {
				return nil, nil, err
			}
			continue
		}
		kept = append(kept, change)
		if asked, err := p.asks(ctx, change, there); err != nil {
			return nil, nil, err
		} else if !asked {
			moved = append(moved, change)
		}
	}
	return kept, moved, nil
}

// zonesByName are the zones that the local PowerDNS lists and that are distributed.
func (p *Primary) zonesByName(ctx context.Context) (map[string]bool, error) {
	there := make(map[string]bool)
	for zone, err := range p.PowerDNS.Zones(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the zones of the local PowerDNS: %w", err)
		}
		if p.leavesOut(zone) == "" {
			there[zone.Name] = true
		}
	}
	return there, nil
}

// asks reports whether the local PowerDNS still holds what a change would publish,
// as far as can be told without a transfer.
func (p *Primary) asks(ctx context.Context, change pdns.HeldChange, there map[string]bool) (bool, error) {
	if change.Kind == pdns.HeldDelete || !there[change.Zone] {
		return change.Kind == pdns.HeldDelete && !there[change.Zone], nil
	}
	zone, err := p.PowerDNS.Zone(ctx, change.Zone)
	if errors.Is(err, api.ErrNotFound) {
		return false, nil
	}
	return zone.EditedSerial == change.Serial, err
}

// start has the zones of changes synced in batches. The same name joins what runs.
func (p *Primary) start(ctx context.Context, name string, changes []pdns.HeldChange) error {
	n := 0
	for some := range slices.Chunk(changes, MaxBatch) {
		zones := make([]string, len(some))
		for i, change := range some {
			zones[i] = change.Zone
		}
		if err := p.Guard.Announce.StartApproved(ctx, fmt.Sprintf("%s-%d", name, n), zones); err != nil {
			return fmt.Errorf("start the sync of %d zones: %w", len(zones), err)
		}
		n++
	}
	return nil
}
