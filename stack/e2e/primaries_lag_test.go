package e2e

import (
	"cmp"
	"fmt"
	"net/http"
	"regexp"
	"testing"
	"time"
)

// The second primary reads from a standby of the first one's database: it takes no changes, and may lag.
func testStandbyDatabase(t *testing.T) {
	p := startPrimaries(t, true)
	t.Run("read only", func(t *testing.T) { testReadOnly(t, p.on(t, p.first)) })
	t.Run("lagging", func(t *testing.T) { testLagging(t, p.on(t, p.first)) })
}

// The same where either has to do without the other. It waits too, but has to find out within max_lag who is dead.
func testStandbyDatabaseAlone(t *testing.T) {
	p := startPrimaries(t, true)
	t.Run("lagging when the other dies", func(t *testing.T) { testLaggingAlone(t, p.on(t, p.first)) })
	t.Run("standby restarted", func(t *testing.T) { testStandbyRestarted(t, p.on(t, p.first)) })
}

// lag has the standby take nothing over until the test ends, or catchUp is called.
func (p *primaries) lag(t *testing.T) (catchUp func()) {
	t.Helper()
	_, err := p.SQL(t.Context(), "postgres-standby", "select pg_wal_replay_pause()")
	must(t, err)
	until(t, soon, func() error {
		state, err := p.SQL(t.Context(), "postgres-standby", "select pg_get_wal_replay_pause_state()")
		return cmp.Or(err, wants(state == "paused", "replay is %s", state))
	})
	return func() {
		_, err := p.SQL(t.Context(), "postgres-standby", "select pg_wal_replay_resume()")
		must(t, err)
	}
}

// A change through the primary that cannot take any is answered as PowerDNS answers it, and does no harm.
func testReadOnly(t *testing.T, p *primaries) {
	const zone = "readonly.primaries.example."
	p.proxy.create(t, zone, 5, set("www."+zone, "TXT", `"kept"`))
	until(t, soon, func() error { return agree(zone, p.second.direct, p.secondaries...) })
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{http.MethodPatch, "/zones/" + zone, patchOf(set("www."+zone, "TXT", `"changed"`))},
		{http.MethodPut, "/zones/" + zone, map[string]any{"dnssec": true}},
		{http.MethodDelete, "/zones/" + zone, nil},
		{http.MethodPost, "/zones", newZone("new."+zone, 1)},
	} {
		want, err := p.second.direct.do(t.Context(), c.method, c.path, c.body)
		must(t, err)
		got, err := p.second.proxy.do(t.Context(), c.method, c.path, c.body)
		must(t, err)
		if got.status != want.status || string(got.body) != string(want.body) || got.status < 500 {
			t.Errorf("%s %s through the api-proxy: %s; PowerDNS itself: %s", c.method, c.path, got, want)
		}
	}
	until(t, soon, func() error {
		s, err := p.status(t.Context(), zone)
		return cmp.Or(err, wants(s.Outcome == "in-sync" && !s.Deleted && s.Phase == "", "%s", s))
	})
	must(t, answered(t.Context(), zone, `"kept"`, p.secondaries))
	must(t, notServed(t.Context(), "new."+zone, p.secondaries...))
}

// lagCase is one way of changing a zone.
type lagCase struct {
	name   string
	exists bool // before
	change func(t *testing.T, n *nameserver, zone string)
	gone   bool // afterwards
}

func (c lagCase) zone() string { return c.name + ".lag.primaries.example." }

var lagCases = []lagCase{
	{"higher", true, func(t *testing.T, n *nameserver, zone string) {
		n.patch(t, zone, soa(zone, 101), set("www."+zone, "TXT", `"new"`))
	}, false},
	{"equal", true, func(t *testing.T, n *nameserver, zone string) { n.patch(t, zone, set("www."+zone, "TXT", `"new"`)) }, false},
	{"lower", true, func(t *testing.T, n *nameserver, zone string) {
		n.patch(t, zone, soa(zone, 99), set("www."+zone, "TXT", `"new"`))
	}, false},
	{"keys", true, func(t *testing.T, n *nameserver, zone string) {
		n.call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
	}, false},
	{"metadata", true, func(t *testing.T, n *nameserver, zone string) {
		n.call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
		n.call(t, http.MethodPut, "/zones/"+zone, map[string]any{"nsec3param": "1 0 0 -"})
	}, false},
	{"new", false, func(t *testing.T, n *nameserver, zone string) { n.create(t, zone, 1, set("www."+zone, "TXT", `"new"`)) }, false},
	{"again", true, func(t *testing.T, n *nameserver, zone string) {
		n.delete(t, zone)
		n.create(t, zone, 1, set("www."+zone, "TXT", `"new"`))
	}, false},
	{"gone", true, func(t *testing.T, n *nameserver, zone string) { n.delete(t, zone) }, true},
}

// lagZones makes the zones of all cases as they are before, on both primaries.
func (p *primaries) lagZones(t *testing.T, prefix string) []lagCase {
	t.Helper()
	cases := make([]lagCase, len(lagCases))
	for i, c := range lagCases {
		c.name = prefix + c.name
		cases[i] = c
		if c.exists {
			p.proxy.create(t, c.zone(), 100, set("www."+c.zone(), "TXT", `"old"`))
			until(t, soon, func() error { return agree(c.zone(), p.second.direct, p.secondaries...) })
		}
	}
	return cases
}

// right returns nil when the secondaries serve what the first primary holds. While the other one still has a zone that was
// deleted, it is served: nobody can tell it from a new one.
func (c lagCase) right(t *testing.T, p *primaries, caughtUp bool) error {
	switch {
	case !c.gone:
		return agree(c.zone(), p.first.direct, p.secondaries...)
	case caughtUp:
		return notServed(t.Context(), c.zone(), p.secondaries...)
	}
	return answered(t.Context(), c.zone(), `"old"`, p.secondaries)
}

// However long the second primary lags, what it still holds is never published over what the first one published, whoever
// asks it to; and no change waits for it, but deletes.
func testLagging(t *testing.T, p *primaries) {
	cases := p.lagZones(t, "")
	catchUp := p.lag(t)
	began := time.Now()
	for _, c := range cases {
		c.change(t, p.proxy, c.zone())
	}
	for _, c := range cases {
		until(t, soon, func() error { return c.right(t, p, false) })
	}
	served := time.Since(began)
	if served > standbyMaxLag {
		t.Errorf("changes were served after %s: they waited for max_lag (%s)", served, standbyMaxLag)
	}
	js, closeConn, err := p.jetStream()
	must(t, err)
	defer closeConn()
	out, _ := p.command(t.Context(), "check") // it surveys the zones on either primary, and finds more on the one that lags
	if !regexp.MustCompile(`(?m)^health check (in-sync|partial)\b`).MatchString(out) {
		t.Errorf("pdns-distribute check\n%s", out)
	}
	asked := 0
	meanwhile(t, 2*standbyMaxLag-time.Since(began), func() error {
		c := cases[asked%len(cases)]
		asked++
		r, err := p.second.proxy.do(t.Context(), http.MethodPatch, "/zones/"+c.zone(), patchOf(set("www."+c.zone(), "TXT", `"refused"`)))
		if err == nil && r.status/100 == 2 {
			t.Fatalf("the standby took a change: %s", r)
		}
		if _, err = js.Publish(t.Context(), "zone.modified", []byte(`{"zone":"`+c.zone()+`"}`)); err != nil {
			return err
		}
		for _, c := range cases {
			if err := c.right(t, p, false); err != nil {
				return err
			}
		}
		return nil
	})
	catchUp()
	back := time.Now()
	for _, c := range cases {
		until(t, soon, func() error { return c.right(t, p, true) })
	}
	t.Logf("served after %s; %d times was a zone looked at on the primary that lagged; all right %s after it had caught up",
		served.Round(time.Millisecond), asked, time.Since(back).Round(time.Millisecond))
}

// The first primary dies as soon as it has taken changes and told of them, before they are published. The second one, which
// does not have them yet, brings them once it has.
func testLaggingAlone(t *testing.T, p *primaries) {
	cases := p.lagZones(t, "alone-")
	catchUp := p.lag(t)
	p.do(t, "kill", p.first.process)
	for _, c := range cases {
		c.change(t, p.first.direct, c.zone())
	}
	want := map[string][]string{}
	for _, c := range cases {
		if !c.gone {
			content, err := p.first.direct.transfer(c.zone())
			must(t, err)
			want[c.zone()] = content
		}
	}
	p.do(t, "kill", p.first.powerDNS)
	js, closeConn, err := p.jetStream()
	must(t, err)
	defer closeConn()
	for _, c := range cases { // what its api-proxy had sent
		_, err := js.Publish(t.Context(), "zone.modified", []byte(`{"zone":"`+c.zone()+`","primary":"primary-1","taken":true}`))
		must(t, err)
	}
	looked := map[string]bool{}
	until(t, soon, func() (missing error) { // the second one has looked at all of them; max_lag later it gives up
		for _, c := range cases {
			if looked[c.zone()] {
				continue
			}
			s, err := p.status(t.Context(), c.zone())
			if err = cmp.Or(err, wants(s.Exports > 0 && s.Error != "", "%s: %s", c.zone(), s)); err != nil {
				missing = err
			}
			looked[c.zone()] = err == nil
		}
		return missing
	})
	catchUp()
	caughtUp := time.Now()
	for _, c := range cases {
		until(t, soon+standbyMaxLag, func() error { // for which a delete waits
			if c.gone {
				return notServed(t.Context(), c.zone(), p.secondaries...)
			}
			for _, n := range p.secondaries {
				got, err := n.transfer(c.zone())
				if diff := difference(want[c.zone()], got); err != nil || diff != "" {
					return fmt.Errorf("%s of %s: %w\n%s", c.zone(), n.name, err, diff)
				}
			}
			return nil
		})
	}
	t.Logf("all right %s after the second one had caught up, without the first", time.Since(caughtUp).Round(time.Millisecond))
}

// While the standby's database is away nothing changes but that deletes wait, and after its return nothing is older.
func testStandbyRestarted(t *testing.T, p *primaries) {
	f := p.startStream(t, streamPause)
	f.wait(t, streamZones)
	p.do(t, "kill", "postgres-standby")
	f.wait(t, 4*streamZones)
	p.do(t, "start", "postgres-standby")
	p.do(t, "start", p.second.powerDNS) // its communicator may have died with the database, and the process with that
	f.wait(t, 2*streamZones)
	calls := f.end()
	took := p.waitRight(t, time.Now())
	p.nothingLost(t)
	t.Logf("all right %s after the last call; %s", took.Round(time.Millisecond), calls)
	if calls.taken < calls.ended() {
		t.Error("calls failed while the standby was away")
	}
}
