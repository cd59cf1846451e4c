package activities

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// change makes PowerDNS serve a delta by changing just the RRsets that have changed
// since the applied version. The error says why the zone must be brought in full;
// it may then be changed already.
//
// Trying it again is harmless: the same RRsets are replaced once more.
func (s *Secondary) change(ctx context.Context, v pdns.Version, applied pdns.Applied, held api.Zone) error {
	switch {
	case s.Changer == nil || s.Absence == nil:
		return errors.New("deltas are not applied here")
	case !v.Delta.AppliesTo(applied):
		return fmt.Errorf("version %d is applied, which the delta does not follow", applied.Version)
	}
	if err := s.undisturbed(held, v, applied); err != nil {
		return err
	}
	sets := v.Delta.Since(applied.Version)
	if err := s.fits(ctx, v.Zone, sets); err != nil {
		return err
	}
	if err := s.leaveUnrectified(ctx, v.Zone); err != nil {
		return err
	}
	if err := s.patch(ctx, v, sets); err != nil {
		return err
	}
	s.Metrics.delta(deltaChanged)
	return nil
}

// undisturbed checks that PowerDNS holds what was applied, so that RRsets of it can
// be changed alone.
func (s *Secondary) undisturbed(held api.Zone, v pdns.Version, applied pdns.Applied) error {
	switch {
	case held.Serial != applied.Serial && held.Serial != v.Serial:
		// v's own is there where we were stopped before it could be noted.
		return fmt.Errorf("PowerDNS holds serial %d, which is not the applied version's", held.Serial)
	case signedBefore(held):
		return errors.New("PowerDNS holds it signed")
	case s.patching.unsettled(v.Zone):
		return errors.New("PowerDNS may still be taking it by AXFR")
	}
	return nil
}

// fits checks that these RRsets can be changed alone here. PowerDNS then makes no
// empty non-terminals, nor ends any, and marks what it stores as its own to answer.
func (s *Secondary) fits(ctx context.Context, zone string, sets []pdns.RRset) error {
	comes := make(map[string]bool)
	for _, set := range sets {
		comes[set.Name] = comes[set.Name] || len(set.Records) > 0
	}
	for name := range comes {
		_, here, err := s.Changer.RRsets(ctx, zone, name)
		if err != nil {
			return err
		}
		if why := pdns.Lone(zone, name, here); why != "" {
			return errors.New(why)
		}
		if len(here) > 0 || !comes[name] {
			continue // it was there, or is not to be; what goes the primary has looked at
		}
		if err := s.mayCome(ctx, zone, name, comes); err != nil {
			return err
		}
	}
	return nil
}

// mayCome says why a new name must come with the whole zone: it makes an empty
// non-terminal above it, or is one.
func (s *Secondary) mayCome(ctx context.Context, zone, name string, comes map[string]bool) error {
	if above := pdns.Between(zone, name); len(above) > 0 && !comes[above[0]] {
		if _, changes := comes[above[0]]; changes {
			return fmt.Errorf("what is at %s goes, above the new name %s", above[0], name)
		}
		_, there, err := s.Changer.RRsets(ctx, zone, above[0])
		if err != nil {
			return err
		}
		if len(there) == 0 {
			return fmt.Errorf("there is nothing at %s, above the new name %s", above[0], name)
		}
	}
	absent, err := s.Absence.Absent(ctx, s.DNSAddress, name)
	if err == nil && !absent {
		err = fmt.Errorf("something may be below the new name %s", name)
	}
	return err
}

// leaveUnrectified has PowerDNS change nothing of a zone but what it is told.
func (s *Secondary) leaveUnrectified(ctx context.Context, zone string) error {
	s.patching.mu.Lock()
	defer s.patching.mu.Unlock()
	if s.patching.unrectified[zone] {
		return nil
	}
	if err := s.Changer.LeaveUnrectified(ctx, zone); err != nil {
		return err
	}
	if s.patching.unrectified == nil {
		s.patching.unrectified = make(map[string]bool)
	}
	s.patching.unrectified[zone] = true
	return nil
}

// patch changes these RRsets and returns once v's serial is served.
func (s *Secondary) patch(ctx context.Context, v pdns.Version, sets []pdns.RRset) error {
	if _, err := s.handing(v); err != nil {
		return err
	}
	patching, ended := trace.Start(ctx, "apply change")
	err := s.patchInTurn(patching, v.Zone, sets)
	ended(err)
	if err != nil {
		return err
	}
	if err := s.awaitServed(ctx, pdns.Version{Zone: v.Zone, Serial: v.Serial}, s.serves); err != nil {
		return err
	}
	if err := s.dropCaches(ctx, v.Zone, false); err != nil {
		return err
	}
	s.flushLater(v.Zone, flushLaterAfter)
	return nil
}

// patchInTurn changes RRsets of one zone at a time.
func (s *Secondary) patchInTurn(ctx context.Context, zone string, sets []pdns.RRset) error {
	return s.storing.beside(ctx, func() error {
		s.patching.mu.Lock()
		defer s.patching.mu.Unlock()
		if ctx.Err() != nil { // it may have ended while we waited
			return ctx.Err()
		}
		return s.Changer.Patch(context.WithoutCancel(ctx), zone, sets) // see handing
	})
}

// patching is what changing RRsets needs to know of zones.
type patching struct {
	// mu is held while RRsets are changed: PowerDNS on SQLite answers 500 to two
	// at the same time. It guards unrectified, the zones that are told to be so.
	mu          sync.Mutex
	unrectified map[string]bool
	// taking are zones that PowerDNS was asked to transfer and was not yet seen
	// to serve.
	taking sync.Map
}

// forget is for a zone that was made anew.
func (p *patching) forget(zone string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.unrectified, zone)
}

func (p *patching) begin(zone string) { p.taking.Store(zone, nil) }
func (p *patching) end(zone string)   { p.taking.Delete(zone) }

// unsettled says that a transfer may still be on its way into PowerDNS.
func (p *patching) unsettled(zone string) bool {
	_, taking := p.taking.Load(zone)
	return taking
}
