package e2e

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// All data of NATS is lost, then all of Temporal's, while clients make changes: everything is right again within a minute,
// with no further action, nothing was deleted, and nothing older was served.
func testDataWiped(t *testing.T) {
	s := startSite(t, system.Topology{}, quickCheck)
	const quiet = "quiet.wiped.example."
	s.make(t, []string{quiet}, 100)
	move := s.newMoving(t, "moving.wiped.example.")
	for _, process := range []string{"nats", "temporal"} {
		t.Run(process, func(t *testing.T) {
			s.on(t)
			f := s.startStream(t, streamPause)
			f.wait(t, 2*streamZones)
			watch, still := s.watchServed(t, quiet, 100), move.watch(t)
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
			still()
			until(t, soon, func() error { return s.prints(t, 0, "check", `health check in-sync.*`) })
			t.Logf("all right %s after the return of %s without its data; %s", took.Round(time.Millisecond), process, calls)
		})
	}
	t.Run("a deleted zone", func(t *testing.T) { testDeletedUnpublished(t, s.on(t)) })
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

// moving is a zone that changes all the time, a number in it that only grows.
type moving struct {
	*site
	zone   string
	number int
}

func (s *site) newMoving(t testing.TB, zone string) *moving {
	t.Helper()
	m := &moving{s, zone, 1000}
	s.proxy.create(t, zone, 1000, numbered(zone, 1000))
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 1000, s.secondaries...) })
	return m
}

// sets are what it has at its number.
func (m *moving) sets() []rrset {
	return []rrset{numbered(m.zone, m.number), soa(m.zone, uint32(m.number))}
}

// watch changes the zone until the returned function is called, and asks all secondaries for it meanwhile: none ever serves
// an older number after a newer one, and in the end each serves the last.
func (m *moving) watch(t *testing.T) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var watchers, changes sync.WaitGroup
	for _, n := range m.secondaries {
		watchers.Go(func() { watchForward(ctx, t, n, m.zone) })
	}
	t.Cleanup(func() { changes.Wait(); watchers.Wait() }) // also where the test ends before
	ended := make(chan struct{})
	changes.Go(func() {
		for {
			select {
			case <-ended:
				return
			case <-ctx.Done():
				return
			case <-time.After(streamPause):
			}
			m.number++
			r, err := m.proxy.do(ctx, http.MethodPatch, "/zones/"+m.zone, patchOf(m.sets()...))
			if err == nil { // on SQLite PowerDNS finds its database locked now and then
				err = wants(r.status == http.StatusNoContent || r.status == http.StatusInternalServerError, "%s", r)
			}
			if err != nil && ctx.Err() == nil {
				t.Errorf("change of %s: %v", m.zone, err)
			}
		}
	})
	return func() {
		close(ended)
		changes.Wait()
		m.number++
		m.proxy.patch(t, m.zone, m.sets()...)
		until(t, soon, func() error { return servesSerial(t.Context(), m.zone, uint32(m.number), m.secondaries...) })
		cancel()
		watchers.Wait()
	}
}

// With no secondary at all, nothing is in sync.
// A zone that is deleted before what NATS has lost of it is published again is gone from every secondary.
func testDeletedUnpublished(t *testing.T, s *site) {
	const zone = "unpublished.wiped.example."
	s.make(t, []string{zone}, 1)
	js, closeConn, err := s.jetStream()
	must(t, err)
	defer closeConn()
	published, err := js.KeyValue(t.Context(), "pdns-zones")
	must(t, err)
	must(t, published.Purge(t.Context(), strings.TrimSuffix(zone, ".")))
	s.proxy.delete(t, zone)
	until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
}

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
