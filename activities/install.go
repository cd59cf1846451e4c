package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const (
	// askAgainAfter is when axfr-retrieve is called again if no AXFR query
	// came: PowerDNS 4.7 drops a call for a zone whose last transfer is
	// still being cleaned up, and answers 200 all the same. Each further
	// call waits twice as long, up to askAgainMax: its queue may be long.
	askAgainAfter = 100 * time.Millisecond
	askAgainMax   = 2 * time.Second
	// takeWithin bounds the time until PowerDNS asks for the zone. Its
	// retrieval threads may be busy with large zones.
	takeWithin = 60 * time.Second
	// serveWithin bounds the time from the last byte sent until the content
	// is served, for a small zone; large ones get more, see serveBound.
	serveWithin = 5 * time.Second
	// flushAfter is how long a served zone may show the old serial before
	// its cache is flushed.
	// Then it is asked soon, and flushed again as seldom.
	flushAfter = 25 * time.Millisecond
	// flushLaterAfter is longer than PowerDNS takes to answer a question that
	// it began to answer from the old content.
	flushLaterAfter = time.Second
	// flushSigningAfter is that where the zone was signed or is no more: what PowerDNS
	// knew of its signing shows in every answer, and a busy host takes longer.
	flushSigningAfter = 3 * time.Second
	// probeEvery and probeEveryMax pace the questions for the new serial.
	probeEvery    = 500 * time.Microsecond
	probeEveryMax = 50 * time.Millisecond
)

// standing is how a zone stands on the local PowerDNS before it is replaced.
type standing struct {
	// signed says that it was signed.
	signed bool
	// served says that it was answered for, serial is the serial of that.
	served bool
	serial uint32
	// held says that it was there, stored is the serial of what was stored.
	held   bool
	stored uint32
}

// shows says that the zone could be taken for one of this serial before it is
// replaced. An answer may have failed to come, so what is stored counts too.
func (w standing) shows(serial uint32) bool {
	return w.served && w.serial == serial || w.held && w.stored == serial
}

// with takes in what the API says of the zone.
func (w standing) with(held api.Zone) standing {
	w.signed, w.held, w.stored = signedBefore(held), true, held.Serial
	return w
}

// served asks what is answered for a zone.
func (s *Secondary) served(ctx context.Context, zone string) standing {
	answer, err := s.DNS.SOA(ctx, s.DNSAddress, zone)
	if err != nil || !answer.Served(zone) {
		return standing{}
	}
	return standing{served: true, serial: answer.Serial}
}

// signedBefore says that the zone is signed: 4.7 says DNSSEC, not presigned, of one
// whose signatures came with it.
func signedBefore(held api.Zone) bool { return held.DNSSEC || held.Presigned }

// install hands v to the local PowerDNS by AXFR and returns once it is served.
// before is called once PowerDNS has got all of the content, and says how the
// zone stood when it had got nothing.
func (s *Secondary) install(ctx context.Context, v pdns.Version, content func(context.Context) (io.ReadCloser, error), before func() standing) error {
	noted, _, err := s.Applied.Get(v.Zone)
	if err != nil {
		return err
	}
	unsure := noted.Distrusted || s.patching.unsettled(v.Zone)
	// Should this fail, PowerDNS may still be about to take what it was sent.
	s.patching.begin(v.Zone)
	if _, err := s.handing(v); err != nil {
		return err
	}
	offer := s.Transfer.Offer(v.Zone, v.Version, content)
	defer offer.Withdraw()
	asked, err := s.retrieve(ctx, v.Zone, offer)
	if err != nil {
		return err
	}
	served, was := s.serves, before()
	switch {
	case was.shows(v.Serial):
		// The serial cannot tell old from new, so the whole content does.
		served = s.holds
	case unsure:
		served = s.servesAndHolds
	}
	if err := s.awaitServed(ctx, v, served); err != nil {
		return err
	}
	if asked == 1 { // else PowerDNS may take it, as it is now, once more
		s.patching.end(v.Zone)
	}
	defer s.flushLater(v.Zone, flushLaterAfter)
	if (was.served || was.held) && v.Signed != was.signed {
		defer s.flushLater(v.Zone, flushSigningAfter)
	}
	return s.dropCaches(ctx, v.Zone, v.Signed || was.signed)
}

// dropCaches has PowerDNS forget what it knows from the version before: it
// purges its caches before or while queries fill them again from the old state.
// The signing first, since cached answers are made with it.
func (s *Secondary) dropCaches(ctx context.Context, zone string, signed bool) (err error) {
	ctx, ended := trace.Start(ctx, "apply flush")
	defer func() { ended(err) }()
	if signed {
		err := transfer.ForgetSigning(ctx, s.DNSAddress, zone)
		// Where PowerDNS allows no AXFR, its cache runs out within a minute.
		if err != nil && !errors.Is(err, transfer.ErrRefused) {
			return fmt.Errorf("drop what PowerDNS has cached of its signing: %w", err)
		}
	}
	if err := s.PowerDNS.FlushCache(ctx, zone); err != nil {
		return fmt.Errorf("flush the cache: %w", err)
	}
	return nil
}

// flushLater flushes the zone's cache once more after that time. An answer that
// was begun from the old content and finished after the flush is cached all the
// same, and would stay for cache-ttl (20 s).
func (s *Secondary) flushLater(zone string, after time.Duration) {
	time.AfterFunc(after, func() {
		ctx, cancel := context.WithTimeout(context.Background(), serveWithin)
		defer cancel()
		// A PowerDNS that does not answer now has lost its cache, or soon lets
		// go of what is in it; there is nothing to do about it.
		_ = s.PowerDNS.FlushCache(ctx, zone)
	})
}

// retrieve makes PowerDNS take the offered zone and waits until all of it was
// sent; asked is how often it was told to. One retrieve is in flight per zone, since
// the zone's lock is held.
func (s *Secondary) retrieve(ctx context.Context, zone string, offer *transfer.Offer) (asked int, err error) {
	if asked, err = s.haveAsked(ctx, zone, offer); err != nil {
		return asked, err
	}
	_, ended := trace.Start(ctx, "apply transfer")
	select {
	case err := <-offer.Done():
		ended(err)
		if err != nil {
			err = fmt.Errorf("send the zone to PowerDNS: %w", err)
		}
		return asked, err
	case <-ctx.Done():
		ended(ctx.Err())
		return asked, ctx.Err()
	}
}

// haveAsked makes PowerDNS ask for the offered zone.
func (s *Secondary) haveAsked(ctx context.Context, zone string, offer *transfer.Offer) (asked int, err error) {
	ctx, ended := trace.Start(ctx, "apply retrieve")
	defer func() { trace.Note(ctx, trace.Asked(asked)); ended(err) }()
	bounded, cancel := context.WithTimeout(ctx, takeWithin)
	defer cancel()
	for wait := askAgainAfter; ; wait = min(2*wait, askAgainMax) {
		asked++
		if err := s.PowerDNS.RetrieveZone(bounded, zone); err != nil {
			return asked, fmt.Errorf("axfr-retrieve: %w", err)
		}
		select {
		case <-offer.Started():
			return asked, nil
		case <-time.After(wait):
		case <-bounded.Done():
			return asked, fmt.Errorf("PowerDNS did not ask for the zone within %s: is `secondary=yes` set, and is the transfer server's address reachable for it?: %w", takeWithin, bounded.Err())
		}
	}
}

// awaitServed asks until served finds nothing wrong.
func (s *Secondary) awaitServed(ctx context.Context, v pdns.Version, served func(context.Context, pdns.Version) error) (err error) {
	ctx, ended := trace.Start(ctx, "apply serve")
	defer func() { ended(err) }()
	bound := serveBound(v)
	bounded, cancel := context.WithTimeout(ctx, bound)
	defer cancel()
	flushAt := time.Now().Add(flushAfter)
	var wrong error
	for wait := probeEvery; ; wait = min(2*wait, probeEveryMax) {
		err := served(bounded, v)
		if err == nil {
			return nil
		}
		if bounded.Err() == nil || wrong == nil {
			wrong = err
		}
		if time.Now().After(flushAt) {
			if err := s.PowerDNS.FlushCache(bounded, v.Zone); err != nil && bounded.Err() == nil {
				return fmt.Errorf("flush the cache: %w", err)
			}
			flushAt, wait = time.Now().Add(flushAfter), probeEvery
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return ctx.Err()
		case <-bounded.Done():
			return fmt.Errorf("PowerDNS took it, but after %s it %w; its log says why (a limit such as xfr-max-received-mbytes, a record that it refuses)", bound, wrong)
		}
	}
}

// serveBound gives large zones the time that PowerDNS needs to store them: it
// was measured at 100,000 to 300,000 records a second, a tenth is allowed.
func serveBound(v pdns.Version) time.Duration {
	return serveWithin + time.Duration(v.Records)*100*time.Microsecond
}

// remove deletes our zone, as version v says, and returns once it is no longer served.
func (s *Secondary) remove(ctx context.Context, v pdns.Version, missing bool) error {
	if !missing {
		if _, err := s.handing(v); err != nil {
			return err
		}
		if err := s.deleteAlone(ctx, v.Zone); err != nil && !errors.Is(err, api.ErrNotFound) {
			return fmt.Errorf("delete the zone: %w", err)
		}
		defer s.flushLater(v.Zone, flushLaterAfter)
	}
	return s.awaitServed(ctx, v, s.serves)
}

// deleteAlone deletes a zone while nothing else is stored. Once more where PowerDNS
// fails: what it stores by itself, such as when it last looked at its zones (each
// minute), takes a moment.
func (s *Secondary) deleteAlone(ctx context.Context, zone string) error {
	return s.storing.alone(ctx, func() error {
		ctx := context.WithoutCancel(ctx) // see handing
		err := s.PowerDNS.DeleteZone(ctx, zone)
		var answer *api.Error
		if errors.As(err, &answer) && answer.Status == http.StatusInternalServerError {
			err = s.PowerDNS.DeleteZone(ctx, zone)
		}
		return err
	})
}
