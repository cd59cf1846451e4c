package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Ledgers note the deletes of late, for all primaries.
type Ledgers interface {
	// Amend has decide look at a ledger and keeps what it returns, by
	// compare-and-set, or returns its reason not to. After an error nothing may
	// be deleted.
	Amend(ctx context.Context, ledger string, decide func(pdns.Ledger) (pdns.Ledger, string)) (reason string, err error)
}

// The ledgers by name.
const (
	ledgerDeletes    = "deletes"
	ledgerAPIDeletes = "api-deletes"
)

// Holds keep the changes that are held, for all primaries.
type Holds interface {
	// Held returns the held change of a zone, and whether there is one.
	Held(ctx context.Context, zone string) (pdns.HeldChange, bool, error)
	// Hold notes a change and returns what is noted then: what was noted before
	// where that asks for the same.
	Hold(ctx context.Context, change pdns.HeldChange) (noted pdns.HeldChange, isNew bool, err error)
	// Release forgets a change; no error where it is not held.
	Release(ctx context.Context, change pdns.HeldChange) error
}

// HeldList is all that is held, and decides about it.
type HeldList interface {
	// All returns every held change; an error means unknown, never none.
	All(ctx context.Context) ([]pdns.HeldChange, error)
	// Decide notes a decision; false where the change is not held any more.
	Decide(ctx context.Context, change pdns.HeldChange, decision pdns.Decision, digest string) (bool, error)
}

// Announcer tells Temporal of holds. Each method returns nil once it has taken it.
type Announcer interface {
	// AnnounceHold has a hold shown, to be decided about.
	AnnounceHold(ctx context.Context, hold string) error
	// StartApproved has zones synced, 1 to MaxBatch of them; batch names them.
	StartApproved(ctx context.Context, batch string, zones []string) error
}

// Guard keeps mass deletes and shrinking zones from publication until a person
// approves. It is asked by the one who publishes, so it holds whoever found
// the change. Where it cannot ask its memory, nothing is published.
type Guard struct {
	Rules   pdns.Guard
	Ledgers Ledgers
	Holds   Holds
	List    HeldList
	// MayHold is a hint from memory whether a zone has a held change: an export
	// of a zone that has none asks nobody.
	MayHold  func(zone string) bool
	Announce Announcer
	// Published knows the newest versions of all zones.
	Published NewestVersions

	surveys surveys
}

// holdsShrink returns the held change when next must not be published now.
func (g *Guard) holdsShrink(ctx context.Context, last, next pdns.Version, proxied pdns.Proxied) (*pdns.HeldChange, error) {
	reason := g.Rules.Shrinks(last, next)
	if reason == "" || proxied != pdns.NotProxied {
		return nil, nil
	}
	held, err := g.hold(ctx, []pdns.HeldChange{{
		Zone: next.Zone, Kind: pdns.HeldShrink, Reason: reason, Base: last.Version,
		Serial: next.Serial, Digest: next.Digest, Before: last.Plain, After: next.Plain,
	}})
	if err != nil || len(held) == 0 {
		return nil, err
	}
	return &held[0], nil
}

// holdsDeletes decides about zones that are gone, all together, and returns those
// that must not be deleted now.
func (g *Guard) holdsDeletes(ctx context.Context, p *Primary, gone []pdns.Version, in ExportZoneInput) (map[string]pdns.HeldChange, error) {
	held := make(map[string]pdns.HeldChange)
	var asked []pdns.Version
	for _, v := range gone {
		change, known, err := g.known(ctx, deleteOf(v))
		if err != nil {
			return nil, err
		}
		switch {
		case !known || change.Decision != pdns.Approved && in.Proxied == pdns.ProxiedDelete:
			asked = append(asked, v)
		case change.Decision != pdns.Approved:
			held[v.Zone] = change
		}
	}
	reason, err := g.askLedger(ctx, p, asked, in)
	if err != nil || reason == "" {
		return held, err
	}
	changes := make([]pdns.HeldChange, len(asked))
	for i, v := range asked {
		changes[i] = deleteOf(v)
		changes[i].Reason = reason
	}
	changes, err = g.hold(ctx, changes)
	for _, change := range changes {
		held[change.Zone] = change
	}
	return held, err
}

// deleteOf is the change that deletes a zone.
func deleteOf(v pdns.Version) pdns.HeldChange {
	return pdns.HeldChange{Zone: v.Zone, Kind: pdns.HeldDelete, Base: v.Version, Before: v.Plain}
}

// errListed marks that a zone that was gone is there.
var errListed = errors.New("lists it")

// askLedger has deletes noted, or returns why they must be held.
func (g *Guard) askLedger(ctx context.Context, p *Primary, gone []pdns.Version, in ExportZoneInput) (string, error) {
	if len(gone) == 0 {
		return "", nil
	}
	zones := make([]string, len(gone))
	for i, v := range gone {
		zones[i] = v.Zone
	}
	if in.Proxied == pdns.ProxiedDelete {
		return g.Ledgers.Amend(ctx, ledgerAPIDeletes, func(ledger pdns.Ledger) (pdns.Ledger, string) {
			return g.Rules.APIDeletes(zones, ledger, time.Now())
		})
	}
	survey, err := g.surveys.take(func() (pdns.Survey, error) { return g.survey(ctx, p) })
	if err != nil {
		return "", err
	}
	for _, zone := range zones {
		if survey.Listed[zone] {
			return "", fmt.Errorf("PowerDNS said that zone %s is gone, and %w: nothing is deleted until both answers agree", zone, errListed)
		}
	}
	survey.LeftOver = in.Together
	return g.Ledgers.Amend(ctx, ledgerDeletes, func(ledger pdns.Ledger) (pdns.Ledger, string) {
		return g.Rules.Deletes(zones, survey, ledger, time.Now())
	})
}

// survey compares the whole list of the local PowerDNS with all that is published.
func (g *Guard) survey(ctx context.Context, p *Primary) (pdns.Survey, error) {
	// What is published first: a zone that is made and published in between is
	// then not taken for gone.
	newest, err := g.Published.Newest(ctx)
	if err != nil {
		return pdns.Survey{}, fmt.Errorf("list the newest versions: %w", err)
	}
	listed, err := p.zonesByName(ctx)
	if err != nil {
		return pdns.Survey{}, err
	}
	var published []string
	for zone, v := range newest {
		if !v.Deleted {
			published = append(published, zone)
		}
	}
	return pdns.NewSurvey(published, listed), nil
}

// approved reports whether a person approved that just this version is deleted.
func (g *Guard) approved(ctx context.Context, v pdns.Version) (bool, error) {
	change, known, err := g.known(ctx, deleteOf(v))
	return known && change.Decision == pdns.Approved, err
}

// known returns what is noted of just this change.
func (g *Guard) known(ctx context.Context, change pdns.HeldChange) (pdns.HeldChange, bool, error) {
	if !g.MayHold(change.Zone) {
		return pdns.HeldChange{}, false, nil
	}
	noted, known, err := g.Holds.Held(ctx, change.Zone)
	return noted, known && noted.Asks(change), err
}

// hold notes changes of one hold, has it shown, and returns those that are held:
// not those that are noted already and approved.
func (g *Guard) hold(ctx context.Context, changes []pdns.HeldChange) ([]pdns.HeldChange, error) {
	var held []pdns.HeldChange
	anyNew := false
	for _, change := range changes {
		change.Since = time.Now().UTC()
		noted, isNew, err := g.Holds.Hold(ctx, change)
		if err != nil {
			return nil, err
		}
		anyNew = anyNew || isNew
		if noted.Decision != pdns.Approved {
			held = append(held, noted)
		}
	}
	if anyNew {
		// Should this fail, upkeep shows the hold within a minute.
		return held, g.Announce.AnnounceHold(ctx, changes[0].Hold())
	}
	return held, nil
}

// settled forgets what is held of a zone, since nobody asks for that any more, or
// it was published.
func (g *Guard) settled(ctx context.Context, zone string) error {
	if !g.MayHold(zone) {
		return nil
	}
	change, known, err := g.Holds.Held(ctx, zone)
	if err != nil || !known {
		return err
	}
	return g.Holds.Release(ctx, change)
}

// held is the result of an export whose change is held.
func (p *Primary) held(last pdns.Version, revision uint64, change *pdns.HeldChange) ExportZoneResult {
	if change == nil {
		return ExportZoneResult{}
	}
	result := p.newest(ExportHeld, last, revision)
	verb := "decide with `pdns-distribute approve %s` or `reject`"
	if change.Decision == pdns.Rejected {
		verb = "it was rejected and stays as it was published; restore the zone on the primary, or think again with `pdns-distribute approve %s`"
	}
	result.Reason = fmt.Sprintf("zone %s: %s of the zone is held: %s; "+verb, change.Zone, change.Kind, change.Reason, change.Hold())
	return result
}

// surveys lets callers that ask at the same time share one survey. Each gets one
// that began after it had asked.
type surveys struct {
	mu   sync.Mutex
	next *oneSurvey
	// running is held while a survey is made.
	running sync.Mutex
}

type oneSurvey struct {
	once   sync.Once
	survey pdns.Survey
	err    error
}

func (s *surveys) take(make func() (pdns.Survey, error)) (pdns.Survey, error) {
	s.mu.Lock()
	if s.next == nil {
		s.next = new(oneSurvey)
	}
	mine := s.next
	s.mu.Unlock()
	s.running.Lock()
	defer s.running.Unlock()
	mine.once.Do(func() {
		s.mu.Lock()
		s.next = nil // who asks from now on gets the next one
		s.mu.Unlock()
		mine.survey, mine.err = make()
	})
	return mine.survey, mine.err
}
