package e2e

import (
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

const (
	// recovered bounds the time from the return of a process, when it answers again, until every zone is right everywhere.
	recovered = 30 * time.Second
	// eventCheckWait is sync.event_check_wait by default.
	eventCheckWait = 20 * time.Second
	// The lengths of outages, in requests of the stream: 3 s, and longer than anything waits for a host's worker (10 s).
	shortOutage = int(3 * time.Second / streamPause)
	longOutage  = int(12 * time.Second / streamPause)
)

// outage is one process that goes away during a stream of changes, and comes back.
type outage struct {
	process, how string
	length       int
	// served: every call of the client gets a 2xx all the time.
	served bool
}

// What is shared by all hosts goes away, in each way, and comes back: soon after, every zone is right on every secondary, with no
// further action.
func testFaultsOfServers(t *testing.T) {
	s := startSite(t, system.Topology{}, "")
	s.outages(t, []outage{
		{"nats", "stop", shortOutage, true},
		{"nats", "kill", shortOutage, true},
		{"nats", "pause", shortOutage, true},
		{"temporal", "stop", shortOutage, true},
		{"temporal", "kill", longOutage, true},
		{"temporal", "pause", shortOutage, true},
		{"consul", "stop", shortOutage, true},
		{"consul", "kill", shortOutage, true},
	})
	t.Run("only nameservers left", func(t *testing.T) { testOnlyNameserversLeft(t, s.on(t)) })
	t.Run("state lost", func(t *testing.T) { testStateLost(t, s.on(t)) })
	t.Run("nats comes back older", func(t *testing.T) { testNATSComesBackOlder(t, s.on(t)) })
}

// So does each PowerDNS, and each process of the product.
func testFaultsOfHosts(t *testing.T) {
	s := startSite(t, system.Topology{}, "")
	s.outages(t, []outage{
		{"pdns-primary", "stop", shortOutage, false},
		{"pdns-primary", "kill", shortOutage, false},
		{"pdns-secondary-1", "stop", shortOutage, true},
		{"pdns-secondary-1", "kill", longOutage, true},
		{"pdns-secondary-2", "stop", shortOutage, true},
		{"pdns-secondary-2", "kill", shortOutage, true},
		{"primary", "stop", shortOutage, false},
		{"primary", "kill", shortOutage, false},
		{"secondary-1", "stop", shortOutage, true},
		{"secondary-1", "kill", shortOutage, true},
		{"secondary-2", "stop", shortOutage, true},
		{"secondary-2", "kill", longOutage, true},
	})
	t.Run("killed again and again", func(t *testing.T) { testKilledAgainAndAgain(t, s.on(t)) })
	t.Run("changes during the wait", func(t *testing.T) { testChangesDuringTheWait(t, s.on(t)) })
	t.Run("secrets stay hidden", func(t *testing.T) { testSecretsStayHidden(t, s.on(t)) }) // last: by now much was logged
}

func (s *site) outages(t *testing.T, all []outage) {
	t.Helper()
	for _, c := range all {
		t.Run(c.how+" "+c.process, func(t *testing.T) {
			s := s.on(t)
			f := s.startStream(t, streamPause)
			f.wait(t, streamZones)
			began := time.Now()
			s.do(t, c.how, c.process)
			gone := time.Since(began)
			f.wait(t, c.length)
			away := time.Since(began)
			s.do(t, map[string]string{"stop": "start", "kill": "start", "pause": "resume"}[c.how], c.process)
			back := time.Now()
			calls := f.end()
			took := s.waitRight(t, back)
			s.nothingLost(t)
			t.Logf("gone after %s, started again after %s, ready after %s, then all right after %s; %s", gone.Round(time.Millisecond),
				away.Round(time.Millisecond), (back.Sub(began) - away).Round(time.Millisecond), took.Round(time.Millisecond), calls)
			if c.served && calls.refused+calls.unclear > 0 {
				t.Errorf("calls failed while %s was away", c.process)
			}
		})
	}
}
