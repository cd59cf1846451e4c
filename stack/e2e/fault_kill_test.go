package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The primary's process dies again and again at moments that nobody chose, while a client changes zones as fast as it is
// answered: what was answered with a 2xx is there, and everywhere.
func testKilledAgainAndAgain(t *testing.T, s *site) {
	const kills = 8
	f := s.startStream(t, time.Millisecond)
	for range kills {
		f.waitTaken(t, 10+rand.IntN(40))
		s.do(t, "kill", "primary")
		s.do(t, "start", "primary")
	}
	f.waitTaken(t, streamZones)
	calls := f.end()
	took := s.waitRight(t, time.Now())
	s.nothingLost(t)
	t.Logf("%d kills: all right %s after the last call; %s", kills, took.Round(time.Millisecond), calls)
}

// With everything but the secondaries' PowerDNS gone, these answer as before. Then everything comes back at once, in no order.
func testOnlyNameserversLeft(t *testing.T, s *site) {
	f := s.startStream(t, streamPause)
	f.wait(t, 2*streamZones)
	f.end()
	s.waitRight(t, time.Now())
	texts := map[string]string{}
	for _, b := range s.books {
		text, err := s.held(t.Context(), b.zone)
		must(t, err)
		texts[b.zone] = text
	}
	var gone []string
	for _, name := range s.Names() {
		if name != "pdns-secondary-1" && name != "pdns-secondary-2" {
			gone = append(gone, name)
		}
	}
	for i, name := range gone {
		s.do(t, []string{"kill", "stop"}[i%2], name)
	}
	looks := meanwhile(t, 3*time.Second, func() error {
		for zone, text := range texts {
			if err := answered(t.Context(), zone, text, s.secondaries); err != nil {
				return err
			}
		}
		return nil
	})
	t.Logf("all zones asked for of both %d times while all else was gone", looks)

	back := time.Now()
	started := make(chan error, len(gone))
	for _, name := range gone {
		go func() { started <- s.Start(t.Context(), name) }()
	}
	for range gone {
		must(t, <-started)
	}
	ready := time.Since(back)
	f = s.startStream(t, streamPause)
	f.wait(t, streamZones)
	f.end()
	ended := time.Now()
	took := s.waitRight(t, ended)
	s.nothingLost(t)
	t.Logf("all back after %s, changes made then are everywhere %s after the last", ready.Round(time.Millisecond), took.Round(time.Millisecond))
}

// answered returns nil when all servers answer as the primary's PowerDNS did; text "" stands for a zone that is gone.
func answered(ctx context.Context, zone, text string, servers []*nameserver) error {
	if text == "" {
		return notServed(ctx, zone, servers...)
	}
	return hasAnswer(ctx, "www."+zone, dns.TypeTXT, []string{text}, servers...)
}

// A secondary whose PowerDNS comes back empty, or whose worker has lost what it knew, is right again soon, with no further
// action.
func testStateLost(t *testing.T, s *site) {
	f := s.startStream(t, streamPause)
	f.wait(t, 2*streamZones)
	f.end()
	s.waitRight(t, time.Now())
	for _, process := range []string{"pdns-secondary-1", "pdns-secondary-2", "secondary-1", "secondary-2"} {
		t.Run(process, func(t *testing.T) {
			s.do(t, "stop", process)
			s.wipe(t, process)
			s.do(t, "start", process)
			took := s.waitRight(t, time.Now())
			t.Logf("all right %s after its return", took.Round(time.Millisecond))
		})
	}
	t.Run("both at once", func(t *testing.T) {
		for _, process := range []string{"secondary-1", "pdns-secondary-1"} {
			s.do(t, "stop", process)
			s.wipe(t, process)
		}
		s.do(t, "start", "pdns-secondary-1")
		s.do(t, "start", "secondary-1")
		took := s.waitRight(t, time.Now())
		t.Logf("all right %s after their return", took.Round(time.Millisecond))
	})
}

// A NATS that is started from a backup, or had not written all that it said it had when its power failed, lacks what was
// published last. Primaries that ran on notice, and publish it again: a secondary that starts with nothing gets it.
func testNATSComesBackOlder(t *testing.T, s *site) {
	const zone = "younger.example."
	data, backup := filepath.Join(s.Dir(), "data", "nats"), filepath.Join(t.TempDir(), "nats")
	s.do(t, "stop", "nats")
	must(t, os.CopyFS(backup, os.DirFS(data)))
	s.do(t, "start", "nats")
	s.proxy.create(t, zone, 1, set("www."+zone, "TXT", `"1"`))
	until(t, recovered, func() error { return answered(t.Context(), zone, `"1"`, s.secondaries) })
	s.waitIdle(t, zone)

	s.do(t, "stop", "nats")
	must(t, os.RemoveAll(data))
	must(t, os.CopyFS(data, os.DirFS(backup)))
	s.do(t, "start", "nats")
	back := time.Now()
	for _, process := range []string{"secondary-2", "pdns-secondary-2"} {
		s.do(t, "stop", process)
		s.wipe(t, process)
	}
	s.do(t, "start", "pdns-secondary-2")
	s.do(t, "start", "secondary-2")
	until(t, recovered, func() error { return answered(t.Context(), zone, `"1"`, s.secondaries) })
	t.Logf("served by an empty secondary %s after the return of NATS", time.Since(back).Round(time.Millisecond))
	s.waitRight(t, time.Now())
}

// Changes that come while a sync waits for its check from outside are served at once, and so is a resync by hand.
func testChangesDuringTheWait(t *testing.T, s *site) {
	const zone = "waiting.example."
	s.proxy.create(t, zone, 1, set("www."+zone, "TXT", `"1"`))
	began := time.Now()
	for serial := range 3 {
		text := fmt.Sprintf(`"%d"`, serial+1)
		if serial > 0 {
			s.proxy.patch(t, zone, set("www."+zone, "TXT", text), soa(zone, uint32(serial+1)))
		}
		until(t, soon, func() error { return answered(t.Context(), zone, text, s.secondaries) })
	}
	served := time.Since(began)
	// Past the proxy: only the resync tells of it.
	s.direct.patch(t, zone, set("www."+zone, "TXT", `"4"`), soa(zone, 4))
	out, code := s.command(t.Context(), "resync", zone)
	resynced := time.Since(began)
	if code != 0 {
		t.Errorf("resync: exit code %d\n%s", code, out)
	}
	must(t, answered(t.Context(), zone, `"4"`, s.secondaries))
	status, err := s.status(t.Context(), zone)
	must(t, err)
	if status.Phase == "" || status.Repaired > 0 || resynced > eventCheckWait {
		t.Errorf("this was not during the wait of %s: three versions served after %s, resynced after %s; %s", eventCheckWait, served, resynced, status)
	}
	t.Logf("three versions served after %s, resynced after %s", served.Round(time.Millisecond), resynced.Round(time.Millisecond))
}
