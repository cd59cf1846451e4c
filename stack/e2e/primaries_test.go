package e2e

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// maxLag is primary.max_lag where there are several primaries, standbyMaxLag where one has a standby, see package system.
const (
	maxLag        = 12 * time.Second
	standbyMaxLag = 60 * time.Second
)

// primaries is a system with two of them. What the site itself knows as the primary is the first one, on the database that
// takes changes.
type primaries struct {
	*site
	first, second primaryServer
}

// primaryServer is one of them: its processes, and its PowerDNS with and without the api-proxy.
type primaryServer struct {
	powerDNS, process string
	proxy, direct     *nameserver
}

func startPrimaries(t *testing.T, standby bool) *primaries {
	t.Helper()
	p := &primaries{site: startSite(t, system.Topology{Primaries: 2, Standby: standby}, quickCheck)}
	p.first = primaryServer{"pdns-primary", "primary", p.proxy, p.direct}
	p.second = primaryServer{"pdns-primary-2", "primary-2", nil, nil}
	p.second.proxy, p.second.direct = primaryServers(p.env, p.proxy.client, "primary-2", "_2")
	return p
}

// on is site.on, after which clients use the given primaries.
func (p *primaries) on(t *testing.T, used ...primaryServer) *primaries {
	t.Helper()
	p.site.on(t)
	p.use(used...)
	return p
}

// use has clients change zones through these only, and ask the first of them what there is.
func (p *primaries) use(used ...primaryServer) {
	p.direct, p.proxies = used[0].direct, nil
	for _, u := range used {
		p.proxies = append(p.proxies, u.proxy)
	}
}

// Clients change zones through either of two primaries on one database.
func testTwoPrimaries(t *testing.T) {
	p := startPrimaries(t, false)
	t.Run("both take changes", func(t *testing.T) { testBothTakeChanges(t, p.on(t, p.first, p.second)) })
	t.Run("equal serials", func(t *testing.T) { testEqualSerials(t, p.on(t, p.first, p.second)) })
	t.Run("never back", func(t *testing.T) { testNeverBack(t, p.on(t, p.first, p.second)) })
	t.Run("one check at a time", func(t *testing.T) { testOneCheckAtATime(t, p.on(t, p.first, p.second)) })
}

// One of them is away.
func testOneOfTwoPrimaries(t *testing.T) {
	p := startPrimaries(t, false)
	for _, c := range []struct {
		victim, survivor primaryServer
		killed           []string
	}{
		{p.first, p.second, []string{p.first.powerDNS}},
		{p.second, p.first, []string{p.second.process}},
		{p.first, p.second, []string{p.first.powerDNS, p.first.process}},
	} {
		t.Run("kill "+strings.Join(c.killed, " and "), func(t *testing.T) {
			testPrimaryDies(t, p.on(t, c.victim, c.survivor), c.survivor, c.killed)
		})
	}
}

// What they share is away.
func testDatabaseOfTwoPrimaries(t *testing.T) {
	p := startPrimaries(t, false)
	t.Run("database away", func(t *testing.T) { testDatabaseAway(t, p.on(t, p.first, p.second)) })
}

func testBothTakeChanges(t *testing.T, p *primaries) {
	f := p.startStream(t, streamPause)
	f.wait(t, 6*streamZones)
	calls := f.end()
	took := p.waitRight(t, time.Now())
	p.nothingLost(t)
	t.Logf("all right %s after the last call; %s", took.Round(time.Millisecond), calls)
	if calls.taken < calls.ended() || took > maxLag {
		t.Errorf("want every call taken, and nothing to wait for max_lag (%s)", maxLag)
	}
}

// What changes under an equal serial tells of itself only through the content: records, keys, how the zone is signed.
func testEqualSerials(t *testing.T, p *primaries) {
	const zone = "equal.primaries.example."
	served := func(look func() error) { until(t, maxLag/2, look) } // nothing waits for max_lag
	p.proxy.create(t, zone, 7, set("www."+zone, "TXT", `"begin"`))
	for i := range 6 {
		p.proxies[i%2].patch(t, zone, set("www."+zone, "TXT", fmt.Sprintf(`"%d"`, i)))
		served(func() error { return agree(zone, p.direct, p.secondaries...) })
	}
	for i, settings := range []map[string]any{{"dnssec": true}, {"nsec3param": "1 0 0 -"}, {"nsec3param": ""}, {"dnssec": false}} {
		p.proxies[i%2].call(t, http.MethodPut, "/zones/"+zone, settings)
		served(func() error { return agree(zone, p.proxies[(i+1)%2], p.secondaries...) })
	}
	p.proxies[0].delete(t, zone)
	served(func() error { return notServed(t.Context(), zone, p.secondaries...) })
	p.proxies[1].create(t, zone, 1)
	served(func() error { return servesSerial(t.Context(), zone, 1, p.secondaries...) })
}

// While a zone changes through one primary and the other in turn, no secondary serves an older state after a newer one.
func testNeverBack(t *testing.T, p *primaries) {
	const zone, changes = "forward.primaries.example.", 60
	p.proxy.create(t, zone, 1000, numbered(zone, 0))
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 1000, p.secondaries...) })
	ctx, stop := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	for _, n := range p.secondaries {
		watchers.Go(func() { watchForward(ctx, t, n, zone) })
	}
	for i := 1; i <= changes; i++ {
		p.proxies[i%2].patch(t, zone, numbered(zone, i), soa(zone, uint32(1000+[]int{i, -i, 0}[i%3])))
	}
	until(t, soon, func() error {
		return hasAnswer(t.Context(), "end.w."+zone, dns.TypeTXT, []string{fmt.Sprintf(`"%d"`, changes)}, p.secondaries...)
	})
	stop()
	watchers.Wait()
}

// Clients of a primary that died go on with the other one, and everything works as before, checks too. Deletes wait for
// max_lag: the dead one cannot be asked.
func testPrimaryDies(t *testing.T, p *primaries, survivor primaryServer, killed []string) {
	f := p.startStream(t, streamPause)
	f.wait(t, streamZones)
	for _, name := range killed {
		p.do(t, "kill", name)
	}
	f.end()
	p.use(survivor)
	f = p.startStream(t, streamPause)
	f.wait(t, 2*streamZones)
	calls := f.end()
	p.changeAll(t) // an event that died with its proxy is published when that is back
	alone := p.waitRight(t, time.Now())
	p.nothingLost(t)
	if calls.taken < calls.ended() {
		t.Errorf("calls failed on the primary that was left: %s", calls)
	}
	until(t, recovered, func() error { return p.prints(t, 0, "check", `health check in-sync.*`) })
	for _, name := range killed {
		p.do(t, "start", name)
	}
	p.use(p.first, p.second)
	f = p.startStream(t, streamPause)
	f.wait(t, streamZones)
	back := time.Now()
	f.end()
	took := p.waitRight(t, back)
	p.nothingLost(t)
	t.Logf("all right %s after the last change without it, and %s after its return", alone.Round(time.Millisecond), took.Round(time.Millisecond))
}

// changeAll changes every zone once.
func (s *site) changeAll(t testing.TB) {
	t.Helper()
	f := &stream{site: s, random: rand.New(rand.NewPCG(0, 0))}
	for _, b := range s.books {
		s.changes++
		f.change(t.Context(), b, s.changes)
	}
	if f.tally.taken < len(s.books) {
		t.Errorf("not every change was taken: %s", f.tally)
	}
}

// Without their database primaries refuse changes, and nothing is taken for gone.
func testDatabaseAway(t *testing.T, p *primaries) {
	const zone = "kept.primaries.example."
	p.proxy.create(t, zone, 1, set("www."+zone, "TXT", `"kept"`))
	until(t, soon, func() error { return answered(t.Context(), zone, `"kept"`, p.secondaries) })
	p.do(t, "kill", "postgres")
	for _, n := range p.proxies {
		for _, method := range []string{http.MethodPatch, http.MethodDelete} { // refused, and looked at all the same
			r, err := n.do(t.Context(), method, "/zones/"+zone, patchOf(set("www."+zone, "TXT", `"lost"`)))
			must(t, err)
			if r.status < 500 {
				t.Errorf("%s without the database: %s", method, r)
			}
		}
	}
	meanwhile(t, maxLag+maxLag/2, func() error { return answered(t.Context(), zone, `"kept"`, p.secondaries) })
	p.do(t, "start", "postgres")
	back := time.Now()
	until(t, soon, func() error {
		r, err := p.proxy.do(t.Context(), http.MethodPatch, "/zones/"+zone, patchOf(set("www."+zone, "TXT", `"back"`)))
		return cmp.Or(err, wants(r.status/100 == 2, "%s", r))
	})
	until(t, soon, func() error { return answered(t.Context(), zone, `"back"`, p.secondaries) })
	took := p.waitRight(t, back)
	p.nothingLost(t)
	t.Logf("all right %s after its return", took.Round(time.Millisecond))
}
