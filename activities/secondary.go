package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// Subscriber is the part of the version store that a secondary reads.
type Subscriber interface {
	// Newest returns pdns.ErrNoVersion when nothing was ever published.
	Newest(ctx context.Context, zone string) (pdns.Version, uint64, error)
	// Open returns the content of exactly v; pdns.ErrContentGone when a newer
	// version replaced it.
	Open(ctx context.Context, v pdns.Version) (io.ReadCloser, error)
	// All yields every newest version; an error ends it and means unknown.
	All(ctx context.Context) iter.Seq2[pdns.Version, error]
}

// SecondaryPowerDNS is the part of the PowerDNS API that applying needs.
type SecondaryPowerDNS interface {
	Zone(ctx context.Context, zone string) (api.Zone, error)
	Zones(ctx context.Context) ([]api.Zone, error)
	CreateSecondaryZone(ctx context.Context, zone, master, account string) error
	// CreateFilledZone fails where the zone exists, and makes nothing then.
	CreateFilledZone(ctx context.Context, zone, master, account, text string) error
	DeleteZone(ctx context.Context, zone string) error
	RetrieveZone(ctx context.Context, zone string) error
	FlushCache(ctx context.Context, zone string) error
}

// RRsetChanger is the part of the PowerDNS API that applying a delta needs.
type RRsetChanger interface {
	// RRsets returns the zone and its RRsets at one name.
	RRsets(ctx context.Context, zone, name string) (api.Zone, []pdns.RRset, error)
	// Patch replaces or removes RRsets, all or none of them.
	Patch(ctx context.Context, zone string, sets []pdns.RRset) error
	// LeaveUnrectified has Patch change nothing but what it is told.
	LeaveUnrectified(ctx context.Context, zone string) error
}

// AppliedState remembers what this secondary was seen to serve.
type AppliedState interface {
	Get(zone string) (pdns.Applied, bool, error)
	Set(pdns.Applied) error
	All() (map[string]pdns.Applied, error)
}

// Secondary holds what the activities on one secondary's queue need.
type Secondary struct {
	ID string
	// DNSAddress is where the local PowerDNS answers.
	DNSAddress string
	// Master is the transfer server's address as zones name it.
	Master   string
	PowerDNS SecondaryPowerDNS
	// Changer and Absence are needed for deltas. Where they are nil, each is
	// applied in full.
	Changer RRsetChanger
	Absence AbsenceAsker
	// Foreign takes over zones that somebody else made.
	Foreign ForeignZones
	// DNS asks past PowerDNS's packet cache: an answer that was begun from the old
	// content may stay there, and the question whether the new one is served would
	// get it again and again.
	DNS      Asker
	Transfer *transfer.Server
	Versions Subscriber
	Applied  AppliedState
	// Gate is closed while this secondary is paused.
	Gate *Gate
	// Catalogues are what checks compare with.
	Catalogues CatalogueReader
	// Exporter is asked where this secondary has applied more than is published.
	Exporter Exporter
	// Signing asks the local PowerDNS how it signs, Now is the clock by which
	// signatures are judged; nil means the host's.
	Signing SigningAsker
	Now     func() time.Time
	Metrics *SecondaryMetrics

	zones    zoneLocks
	bulk     bulkSlots
	patching patching
	full     atomic.Pointer[fullCompare]
}

// What an apply did; ApplyZoneResult.Outcome.
const (
	// AppliedNow: the newest version was transferred and is served.
	AppliedNow = "applied"
	// AppliedCurrent: the newest version was served already.
	AppliedCurrent = "current"
	// AppliedDelete: the zone is gone from the primary and is no longer served.
	AppliedDelete = "deleted"
	// AppliedForeign: a zone of this name exists that is not ours; untouched.
	AppliedForeign = "foreign"
	// AppliedPaused: this secondary is paused; only counts of zones say so.
	AppliedPaused = "paused"
	// AppliedNone: nothing was ever published for this zone.
	AppliedNone = "none"
)

// ApplyZoneInput asks that a zone be brought to its newest version.
type ApplyZoneInput struct {
	Zone string `json:"zone"`
	// Version is the version that the caller knows of. The newest published
	// one is applied in any case; an older one is an error.
	Version int64 `json:"version,omitempty"`
}

// ApplyZoneResult says what the secondary serves now.
type ApplyZoneResult struct {
	Outcome   string    `json:"outcome"`
	Version   int64     `json:"version,omitempty"`
	Serial    uint32    `json:"serial,omitempty"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
	// TookMS is how long it took, in milliseconds.
	TookMS int64 `json:"took_ms"`
	// Reason says in words what an operator should know.
	Reason string `json:"reason,omitempty"`
}

// ApplyZone brings one zone of this secondary to its newest version and
// returns once PowerDNS was seen to serve it.
//
// Doing it twice, late or beside another one is harmless: under the zone's lock
// it asks for the newest version itself, and finds nothing to do when that is
// served. It never goes back: with no answer from NATS it fails.
func (s *Secondary) ApplyZone(ctx context.Context, in ApplyZoneInput) (ApplyZoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	started := time.Now()
	result, err := s.bringToNewest(ctx, in.Zone, bringing{})
	if err == nil && result.Version < in.Version && result.Outcome != AppliedForeign {
		err = fmt.Errorf("NATS shows version %d, the sync published %d: its answer is stale", result.Version, in.Version)
	}
	took := time.Since(started)
	if err != nil {
		s.Metrics.observed("failed", took.Seconds())
		return ApplyZoneResult{}, classify(fmt.Errorf("apply zone %s on secondary %s: %w", in.Zone, s.ID, err))
	}
	s.Metrics.observed(result.Outcome, took.Seconds())
	result.TookMS = took.Milliseconds()
	return result, nil
}

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
}

// justApplied is how long an apply counts as just seen.
const justApplied = time.Minute

// done reports whether a has just become what is asked for.
func (how bringing) done(a pdns.Applied, now time.Time) bool {
	age := now.Sub(a.AppliedAt)
	return !how.force && !how.adopt && how.known[a.Zone] > 0 && a.Stands(how.known[a.Zone]) && age >= 0 && age < justApplied
}

// bringToNewest is the one function through which every zone of this
// secondary changes. It holds the zone's lock and loops until what is applied
// is what is newest.
func (s *Secondary) bringToNewest(ctx context.Context, zone string, how bringing) (ApplyZoneResult, error) {
	leave, err := s.Gate.enter(zone, s.ID)
	if err != nil {
		return ApplyZoneResult{}, err
	}
	defer leave()
	if just, known, err := s.Applied.Get(zone); err == nil && known && how.done(just, time.Now()) {
		return currently(just), nil
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
	for locked := false; ; locked = true {
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
				return currently(applied), nil
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
		outcome, err = s.bring(ctx, newest, pdns.AppliedIf(applied, known), adopt, s.content)
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
		if err := s.Applied.Set(pdns.AppliedFrom(newest, time.Now())); err != nil {
			return ApplyZoneResult{}, err
		}
	}
}

// follows says whether a zone was brought to what it is since, and stands there.
// Where it was so before NATS was asked, a newer one is a sign of lost versions.
func (s *Secondary) follows(ctx context.Context, a pdns.Applied, since time.Time) bool {
	return a.AppliedAt.After(since) && !a.Distrusted &&
		s.stands(ctx, pdns.Version{Zone: a.Zone, Version: a.Version, Serial: a.Serial, Deleted: a.Deleted})
}

// currently is the answer for a zone that already is what it should be.
func currently(a pdns.Applied) ApplyZoneResult {
	return ApplyZoneResult{Outcome: AppliedCurrent, Version: a.Version, Serial: a.Serial, AppliedAt: a.AppliedAt}
}

// stands says whether v, once applied, still is what this secondary has: a zone
// that was deleted may be held again and, as long as it is empty, not be served.
func (s *Secondary) stands(ctx context.Context, v pdns.Version) bool {
	if s.serves(ctx, v) != nil {
		return false
	}
	if !v.Deleted {
		return true
	}
	_, err := s.PowerDNS.Zone(ctx, v.Zone)
	return errors.Is(err, api.ErrNotFound)
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

// now is the time by which signatures are judged.
func (s *Secondary) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
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
		if s.amend(ctx, v, *applied) == nil {
			return AppliedNow, nil
		}
		if err := s.replace(ctx, v, open); !errors.Is(err, errNotOurs) {
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
		if missing, err = s.takeOver(ctx, held); err != nil {
			return "", err
		}
	case v.Deleted:
		return AppliedDelete, s.remove(ctx, v.Zone, missing)
	case !missing && applied == nil && held.Serial == v.Serial && s.holds(ctx, v) == nil:
		return AppliedCurrent, nil // the local state was lost, the content was not
	case !missing && v.Unproven() && applied != nil && s.change(ctx, v, *applied, held) == nil:
		return AppliedNow, nil // else in full
	}
	content, err := open(ctx, v)
	if err != nil {
		return "", err
	}
	if missing {
		_, ended := trace.Start(ctx, "apply create")
		err := s.PowerDNS.CreateSecondaryZone(ctx, v.Zone, s.Master, pdns.Account)
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
	before.signed = signedBefore(held)
	if err := s.install(ctx, v, content, func() standing { return before }); err != nil {
		return "", err
	}
	if v.Unproven() {
		s.Metrics.delta(deltaInFull)
	}
	return AppliedNow, nil
}

// serves asks the local PowerDNS by DNS whether it serves v, by serial. The
// error says what it serves instead.
func (s *Secondary) serves(ctx context.Context, v pdns.Version) error {
	answer, err := s.DNS.SOA(ctx, s.DNSAddress, v.Zone)
	served := err == nil && answer.Served(v.Zone)
	switch {
	case err != nil:
		return err
	case v.Deleted && served:
		return fmt.Errorf("still serves serial %d", answer.Serial)
	case v.Deleted:
		return nil
	case !served:
		return errors.New("serves no SOA of this zone")
	case answer.Serial != v.Serial:
		return fmt.Errorf("serves serial %d, not %d", answer.Serial, v.Serial)
	}
	return nil
}

// errOtherContent says that the local PowerDNS holds a zone with another content.
var errOtherContent = errors.New("holds other content")

// holds compares the whole content that the local PowerDNS holds with v. The
// error says how it differs, or why it cannot be compared.
func (s *Secondary) holds(ctx context.Context, v pdns.Version) error {
	var summary transfer.Summary
	var same bool
	var err error
	if v.Unproven() {
		summary, same, err = transfer.Compare(ctx, s.DNSAddress, v.Zone, merged(ctx, s.Versions, v))
	} else {
		summary, err = transfer.DigestOf(ctx, s.DNSAddress, v.Zone)
		same = summary.Serial == v.Serial && summary.Digest == v.Digest
	}
	switch {
	case errors.Is(err, transfer.ErrRefused):
		return fmt.Errorf("cannot be compared at an equal serial, since the local PowerDNS hands out no zones (set allow-axfr-ips=127.0.0.0/8,::1 and not disable-axfr): %w", err)
	case err != nil:
		return err
	case !same:
		return fmt.Errorf("%w (serial %d, %d records) than version %d (serial %d, %d records)", errOtherContent, summary.Serial, summary.Records, v.Version, v.Serial, v.Records)
	}
	return nil
}
