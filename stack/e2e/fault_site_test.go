package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/stack/delay"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// site is a whole system that its test may break, apart from the one that the other tests share.
type site struct {
	*system.System
	env         map[string]string
	proxy       *nameserver // the primary through the api-proxy
	direct      *nameserver // the same PowerDNS without it
	secondaries []*nameserver
	proxies     []*nameserver // those that streams change zones through, one at random each time
	books       []*book       // what streams know of the zones that they change
	changes     int           // how many of their requests there were
	shown       bool          // the ends of the logs were shown
}

// onlyAsked has no health or signature check begin by itself: every quarter of an hour one would find, repair and count what
// a test is about to. What a test sets in [checks] follows.
const onlyAsked = `
[checks]
health_interval = "24h"
signature_interval = "48h"
`

// quickScan has changes past the api-proxy found soon.
const quickScan = `scan_interval = "10s"
`

// quickCheck has changes checked from outside soon: tests that want nothing to be under way any more wait for that.
const quickCheck = `
[sync]
event_check_wait = "2s"
`

// startSite starts a system that ends with the test, which may break it. With E2E_KEEP set, its folder stays.
func startSite(t *testing.T, topology system.Topology, settings string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // with E2E_KEEP it outlives the test
	must(t, err)
	opts := system.Options{Dir: dir, Topology: topology, Settings: onlyAsked + settings, FreePorts: true, Owner: os.Getpid()}
	keep := os.Getenv("E2E_KEEP") != ""
	if keep {
		opts.Owner = 0
		t.Log("logs and data stay in", dir)
	}
	s := &site{books: newBooks()}
	t.Cleanup(func() {
		if s.System != nil {
			s.showLogs(t)
			if err := s.Down(context.Background()); err != nil {
				t.Error(err)
			}
		}
		if !keep {
			must(t, os.RemoveAll(dir))
		}
	})
	s.System, err = system.Up(t.Context(), opts)
	must(t, err)
	s.env, err = s.Env()
	must(t, err)
	s.proxy, s.direct, s.secondaries, err = nameservers(s.env)
	must(t, err)
	s.proxies = []*nameserver{s.proxy}
	until(t, soon, func() error { // changes made before both have joined would not reach them by a sync of their own
		out, _ := s.command(t.Context(), "status")
		for _, n := range s.secondaries { // a row of the table: a check's report may name them too
			if !strings.Contains(out, "\n"+n.name+"  ") {
				return fmt.Errorf("%s has not joined:\n%s", n.name, out)
			}
		}
		return nil
	})
	s.waitCompared(t, max(1, topology.Primaries))
	return s
}

// on shows the ends of all logs when the test fails, and has everything run again after it: the next one needs it.
func (s *site) on(t *testing.T) *site {
	t.Helper()
	t.Cleanup(func() {
		s.showLogs(t)
		for _, name := range s.Names() {
			if err := s.Start(context.Background(), name); err != nil {
				t.Error(err)
			}
		}
	})
	return s
}

// showLogs shows the ends of the logs at the first failure only.
func (s *site) showLogs(t *testing.T) {
	if t.Failed() && !s.shown {
		s.shown = true
		showLogs(t, s.System)
	}
}

// do does one of stop, kill, pause, start and resume to a process.
func (s *site) do(t testing.TB, action, name string) {
	t.Helper()
	var err error
	switch action {
	case "stop":
		err = s.Stop(t.Context(), name)
	case "kill":
		err = s.Kill(t.Context(), name)
	case "pause":
		err = s.Pause(t.Context(), name)
	case "start":
		err = s.Start(t.Context(), name)
	case "resume":
		err = s.Resume(name)
	default:
		t.Fatalf("cannot %s %s", action, name)
	}
	must(t, err)
}

// status is that of the zone's newest sync.
func (s *site) status(ctx context.Context, zone string) (syncStatus, error) {
	c, err := dialTemporal(s.env)
	if err != nil {
		return syncStatus{}, err
	}
	defer c.Close()
	return statusFrom(ctx, c, zone)
}

// wipe removes all data of a process that does not run.
func (s *site) wipe(t testing.TB, process string) {
	t.Helper()
	dir := filepath.Join(s.Dir(), "data", process)
	held, err := os.ReadDir(dir)
	must(t, err)
	if len(held) == 0 {
		t.Fatalf("%s has no data in %s", process, dir)
	}
	must(t, os.RemoveAll(dir))
	must(t, os.Mkdir(dir, 0o700))
}

// held is what the primary's PowerDNS holds of a zone: the content of TXT www, "" when it does not hold the zone.
func (s *site) held(ctx context.Context, name string) (string, error) {
	r, err := s.direct.do(ctx, http.MethodGet, "/zones/"+zoneID(name), nil)
	if err != nil || r.status == http.StatusNotFound {
		return "", err
	}
	var z zone
	if err := json.Unmarshal(r.body, &z); err != nil || r.status != http.StatusOK {
		return "", fmt.Errorf("zone %s on the primary: %s", name, r)
	}
	for _, set := range z.RRsets {
		if set.Name == "www."+name && set.Type == "TXT" && len(set.Records) == 1 {
			return set.Records[0].Content, nil
		}
	}
	return "", fmt.Errorf("zone %s on the primary lacks TXT www: %s", name, r)
}

// right returns nil when both secondaries serve just what the primary's PowerDNS holds of this zone.
func (s *site) right(ctx context.Context, zone string) error {
	text, err := s.held(ctx, zone)
	if err != nil {
		return err
	}
	if text == "" {
		return notServed(ctx, zone, s.secondaries...)
	}
	if err := hasAnswer(ctx, "www."+zone, dns.TypeTXT, []string{text}, s.secondaries...); err != nil {
		return err
	}
	return agree(zone, s.direct, s.secondaries...)
}

// waitRight waits until all zones of the streams are right, once each and then all at one look, and returns how long after
// since that was.
func (s *site) waitRight(t testing.TB, since time.Time) time.Duration {
	t.Helper()
	for _, b := range s.books {
		until(t, max(0, recovered-time.Since(since)), func() error { return s.right(t.Context(), b.zone) })
	}
	took := time.Since(since)
	for _, b := range s.books {
		must(t, s.right(t.Context(), b.zone))
	}
	return took
}

// moveAway has a secondary's connection to a server take a round trip, from its worker's next start on.
func (s *site) moveAway(t *testing.T, name, address string, roundTrip time.Duration) {
	t.Helper()
	link, err := delay.Listen(t.Context(), address)
	must(t, err)
	link.SetRoundTrip(roundTrip)
	settings, err := os.ReadFile(s.ConfigPath(name))
	must(t, err)
	must(t, os.WriteFile(s.ConfigPath(name), bytes.ReplaceAll(settings, []byte(address), []byte(link.Address())), 0o600))
}
