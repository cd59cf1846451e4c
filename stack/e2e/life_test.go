package e2e

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// testSecondaryLife has a system of its own, whose secondaries come and go.
func testSecondaryLife(t *testing.T) {
	s := startSite(t, system.Topology{}, quickCheck)
	t.Run("a foreign zone is adopted", func(t *testing.T) { testAdopt(t, s.on(t)) })
	t.Run("paused, drained, forgotten", func(t *testing.T) { testLifeCycle(t, s.on(t)) })
}

// testAdopt: a zone that somebody else made stays until it is adopted.
func testAdopt(t *testing.T, s *site) {
	const zone = "theirs.adopt.example."
	one := s.secondaries[0]
	one.create(t, zone, 4000000000)
	s.proxy.create(t, zone, 1)
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 1, s.secondaries[1]) })
	must(t, servesSerial(t.Context(), zone, 4000000000, one))
	s.printed(t, 1, "adopt unknown.example", `pdns-distribute: zone unknown\.example\. cannot be taken over.*`, `.*no published version.*`)
	s.printed(t, 2, "adopt", `pdns-distribute: name zones, or give --all`)
	s.printed(t, 0, "adopt "+zone+" --secondary secondary-1", `secondary-1 in-sync: .* 1 adopted, .*`)
	must(t, servesSerial(t.Context(), zone, 1, one))
	s.proxy.delete(t, zone)
	until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
}

// testLifeCycle: a secondary is paused, resumed, drained and forgotten.
func testLifeCycle(t *testing.T, s *site) {
	one, two := s.secondaries[0], s.secondaries[1]
	create := func(zone string) {
		s.proxy.create(t, zone, 1)
		until(t, soon, func() error { return servesSerial(t.Context(), zone, 1, two) })
	}
	s.waitIdle(t) // among many changes, that of one zone has no sync of its own
	s.printed(t, 0, "pause secondary-1", `secondary-1 is paused: .*`)
	until(t, soon, func() error { return s.prints(t, 0, "status", `secondary-1 +drained .*`) })
	const zone = "a.life.example."
	create(zone)
	until(t, soon, func() error {
		got, err := s.status(t.Context(), zone)
		return errOr(err, wants(got.Outcome == "in-sync" && got.Phase == "", "status %s", got))
	})
	s.printed(t, 1, "resync --all --secondary secondary-1", `secondary-1 skipped: .*`, `secondary secondary-1 is paused and gets nothing.*`)
	must(t, notServed(t.Context(), zone, one))
	until(t, soon, func() error { return s.shows(t.Context(), `pdnsdist_secondaries{state="paused"} 1`) })

	// It stays paused over a restart, also when the roster was lost.
	s.do(t, "stop", "secondary-1")
	s.do(t, "start", "secondary-1")
	create("b.life.example.")
	must(t, notServed(t.Context(), "b.life.example.", one))
	must(t, s.loseRoster(t.Context()))
	until(t, 2*time.Minute, func() error {
		return s.prints(t, 0, "status", `secondary-1 +(paused|drained) .*`, `secondary-2 +yes .*`)
	})
	must(t, notServed(t.Context(), zone, one))

	s.printed(t, 0, "resume secondary-1", `secondary-1 is resumed`, `secondary-1 in-sync: .*`)
	must(t, servesSerial(t.Context(), zone, 1, one))
	must(t, servesSerial(t.Context(), "b.life.example.", 1, one))
	s.printed(t, 0, "drain secondary-1", `secondary-1 is drained: .*`)
	s.printed(t, 0, "resume secondary-1", `secondary-1 in-sync: .*`)

	s.printed(t, 1, "forget secondary-1", `pdns-distribute: secondary-1 still runs and would join again.*`)
	// Without its PowerDNS Consul calls it critical, and its worker runs all the same.
	s.do(t, "stop", "pdns-secondary-1")
	until(t, soon, func() error { return s.prints(t, 1, "status", `secondary-1 +no .*`) })
	s.printed(t, 1, "forget secondary-1", `pdns-distribute: secondary-1 still runs and would join again.*`)
	s.printed(t, 0, "drain secondary-1", `secondary-1 is drained: .*`)
	s.do(t, "start", "pdns-secondary-1")
	until(t, soon, func() error { return s.prints(t, 0, "resume secondary-1", `secondary-1 in-sync: .*`) })
	s.printed(t, 1, "forget nobody", `pdns-distribute: secondary nobody: no such secondary.*`)
	s.do(t, "stop", "secondary-1")
	until(t, soon, func() error { return s.shows(t.Context(), `pdnsdist_secondaries{state="absent"} 1`) })
	until(t, soon, func() error { return s.prints(t, 0, "forget secondary-1", `secondary-1 is off the roster.*`) })
	out, _ := s.command(t.Context(), "status")
	must(t, wants(!strings.Contains(out, "\nsecondary-1  "), "forgotten and listed:\n%s", out))
	create("c.life.example.")
	s.do(t, "start", "secondary-1")
	until(t, soon, func() error { return servesSerial(t.Context(), "c.life.example.", 1, one) })
}

// loseRoster removes the roster's bucket.
func (s *site) loseRoster(ctx context.Context) error {
	conn, err := s.ConnectNATS(system.RoleOperator)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn)
	if err != nil {
		return err
	}
	return js.DeleteKeyValue(ctx, "pdns-secondaries")
}
