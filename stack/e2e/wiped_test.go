package e2e

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// All data of NATS is lost, then all of Temporal's, while clients make changes: everything is right again within a minute,
// with no further action, nothing was deleted, and nothing older was served.
func TestDataWiped(t *testing.T) {
	s := startSite(t, system.Topology{}, quickCheck)
	const quiet = "quiet.wiped.example."
	s.make(t, []string{quiet}, 100)
	for _, process := range []string{"nats", "temporal"} {
		t.Run(process, func(t *testing.T) {
			s.on(t)
			f := s.startStream(t, streamPause)
			f.wait(t, 2*streamZones)
			watch := s.watchServed(t, quiet, 100)
			s.do(t, "kill", process)
			if process == "temporal" {
				s.wipeTemporal(t)
			} else {
				s.wipe(t, process)
			}
			f.wait(t, shortOutage)
			s.do(t, "start", process)
			back := time.Now()
			f.wait(t, streamZones)
			calls := f.end()
			for _, b := range s.books {
				until(t, max(0, time.Minute-time.Since(back)), func() error { return s.right(t.Context(), b.zone) })
			}
			took := time.Since(back)
			s.nothingLost(t)
			watch()
			until(t, soon, func() error { return s.prints(t, 0, "check", `health check in-sync.*`) })
			t.Logf("all right %s after the return of %s without its data; %s", took.Round(time.Millisecond), process, calls)
		})
	}
	t.Run("no secondary", func(t *testing.T) { testNoSecondary(t, s.on(t)) }) // last: the roster is empty then
}

// wipeTemporal removes Temporal's database, while it does not run.
func (s *site) wipeTemporal(t testing.TB) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.Dir(), "data", "temporal.db*"))
	must(t, err)
	if len(files) == 0 {
		t.Fatal("Temporal has no database")
	}
	for _, file := range files {
		must(t, os.Remove(file))
	}
}

// watchServed asks all secondaries for a zone that nobody changes, until the returned function is called: it is never
// served in an older state, and never gone.
func (s *site) watchServed(t *testing.T, zone string, serial uint32) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		for ctx.Err() == nil {
			if err := servesSerial(ctx, zone, serial, s.secondaries...); err != nil && ctx.Err() == nil {
				ended <- err
				return
			}
			<-time.After(pollEvery)
		}
		ended <- nil
	}()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("zone %s, which nobody changed: %v", zone, err)
		}
	}
}

// With no secondary at all, nothing is in sync.
func testNoSecondary(t *testing.T, s *site) {
	for _, n := range s.secondaries {
		s.do(t, "stop", n.name)
	}
	js, closeConn, err := s.jetStream()
	must(t, err)
	defer closeConn()
	roster, err := js.KeyValue(t.Context(), "pdns-secondaries")
	must(t, err)
	for _, n := range s.secondaries {
		must(t, roster.Purge(t.Context(), n.name))
	}
	s.printed(t, 1, "check", `health check failed.*`, `no secondary to sync to.*`)
	s.record(t, "health-check", "check_health_no_secondary")
}
