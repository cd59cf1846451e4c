package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.temporal.io/api/enums/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// checkReport is what CheckHealth returns: a contract with people and scripts.
type checkReport struct {
	RunID    string         `json:"run_id"`
	Outcome  string         `json:"outcome"`
	Rounds   int            `json:"rounds"`
	Found    map[string]int `json:"found"`
	Repaired int            `json:"repaired"`
	Error    string         `json:"error"`
	Content  struct {
		RunID   string `json:"run_id"`
		Outcome string `json:"outcome"`
	} `json:"content"`
	Survey struct {
		NotDistributed map[string]int `json:"not_distributed"`
	} `json:"survey"`
	Secondaries []struct {
		ID    string `json:"id"`
		State string `json:"state"`
		Error string `json:"error"`
	} `json:"secondaries"`
}

// testChecks has a system of its own: it damages secondaries and stops processes.
func testChecks(t *testing.T) {
	s := startSite(t, system.Topology{}, quickScan+quickCheck)
	const zones = 30
	for i := range zones {
		name := fmt.Sprintf("c%02d.check.example.", i)
		s.proxy.create(t, name, 100, set("www."+name, "TXT", `"0"`))
	}
	for i := range zones {
		until(t, soon, func() error {
			return servesSerial(t.Context(), fmt.Sprintf("c%02d.check.example.", i), 100, s.secondaries...)
		})
	}
	t.Run("all in sync", func(t *testing.T) { testCheckInSync(t, s.on(t), zones) })
	t.Run("after a change", func(t *testing.T) { testEventCheck(t, s.on(t)) })
	t.Run("found and repaired", func(t *testing.T) { testFoundAndRepaired(t, s.on(t)) })
	t.Run("serials that go back", func(t *testing.T) { testSerialsGoBack(t, s.on(t)) })
	t.Run("content asked for meanwhile", func(t *testing.T) { testContentAskedForMeanwhile(t, s.on(t)) })
	t.Run("dead worker", func(t *testing.T) { testDeadWorkerIsLagging(t, s.on(t)) })
	t.Run("cut off", func(t *testing.T) { testCutOff(t, s.on(t)) })
	t.Run("past the proxy", func(t *testing.T) { testPastTheProxy(t, s.on(t)) })
	t.Run("last success after a restart", func(t *testing.T) { testLastSuccessAfterRestart(t, s.on(t)) })
	t.Run("emptied", func(t *testing.T) { testEmptied(t, s.on(t)) })
}

func testCheckInSync(t *testing.T, s *site, zones int) {
	until(t, soon, func() error { // the last of them may be served and not noted yet
		return s.prints(t, 0, "check", `health check in-sync.*`,
			fmt.Sprintf(`secondary-1 in-sync: %d of %[1]d zones right, %[1]d asked for by DNS`, zones),
			fmt.Sprintf(`secondary-2 in-sync: %d of %[1]d zones right, %[1]d asked for by DNS`, zones))
	})
	s.smallHistory(t, "health-check", "c00.check.example")
	s.record(t, "health-check", "check_health")
	s.printed(t, 0, "status", `last health check: in-sync.*`)
	s.counts(t, "health-check", 1)
}

// smallHistory wants the history of a check in sync to name no zone, so that it is as small with 100,000 as it is here.
func (s *site) smallHistory(t *testing.T, id, zone string) {
	t.Helper()
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	size := 0
	for events := c.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		must(t, err)
		data, err := proto.Marshal(event)
		must(t, err)
		size += len(data)
		if bytes.Contains(data, []byte(zone)) {
			t.Errorf("the history of %s names zone %s: %s", id, zone, event)
		}
	}
	if size == 0 || size > 32<<10 {
		t.Errorf("the history of %s has %d octets, want at most 32 KiB", id, size)
	}
}

// The check from outside after a change finds what a secondary serves otherwise, repairs it, and counts it.
func testEventCheck(t *testing.T, s *site) {
	const zone, series = "c12.check.example.", `pdnsdist_event_check_total{state="outdated"}`
	before, n := s.metric(t, series), s.secondaries[1]
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	var sync struct {
		Outcome  string `json:"outcome"`
		Repaired int    `json:"repaired"`
	}
	s.waitIdle(t) // the checks of the batches in which the zones were made
	s.proxy.patch(t, zone, soa(zone, 101))
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 101, s.secondaries...) })
	s.waitIdle(t)
	s.printed(t, 0, "resync "+zone) // returns when every secondary has reported; the check follows
	n.patch(t, zone, soa(zone, 99))
	must(t, servesSerial(t.Context(), zone, 99, n))
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 101, s.secondaries...) })
	s.waitIdle(t, zone)
	if found := s.metric(t, series) - before; found != 1 {
		t.Errorf("counted %g secondaries that serve an older state, want 1", found)
	}
	must(t, c.GetWorkflow(t.Context(), "sync-zone/"+zone, "").Get(t.Context(), &sync))
	if sync.Outcome != "in-sync" || sync.Repaired != 1 {
		t.Errorf("the change's sync says %+v, want one repair", sync)
	}
}

// A primary that was started again shows when a check last succeeded, as Temporal remembers it.
func testLastSuccessAfterRestart(t *testing.T, s *site) {
	s.do(t, "kill", "primary")
	s.do(t, "start", "primary")
	until(t, soon, func() error {
		last := s.metric(t, `pdnsdist_check_last_success_timestamp_seconds{check="health-check"}`)
		return wants(last > 0, "a primary that was started again knows of no last success")
	})
}

// counts waits until the metrics of the primary show at least so many runs of the check, and its last success.
func (s *site) counts(t testing.TB, check string, want int) {
	t.Helper()
	until(t, soon, func() error {
		runs := 0.0
		for _, outcome := range []string{"in-sync", "partial"} {
			runs += s.metric(t, fmt.Sprintf(`pdnsdist_check_runs_total{check=%q,outcome=%q}`, check, outcome))
		}
		last := s.metric(t, fmt.Sprintf(`pdnsdist_check_last_success_timestamp_seconds{check=%q}`, check))
		age := time.Since(time.UnixMilli(int64(1000 * last)))
		return wants(runs >= float64(want) && age < time.Hour, "%g runs of %s are counted, the last success was %s ago", runs, check, age)
	})
}

// damage is one way in which a secondary gets wrong by itself, and under which name a check counts it.
type damage struct {
	kind, zone string
	do         func(t *testing.T, n *nameserver, zone string)
}

func testFoundAndRepaired(t *testing.T, s *site) {
	// A zone that is ours on the secondary, as its worker makes them.
	like := func(t *testing.T, n *nameserver, name string) {
		model, found := n.zone(t, "c00.check.example.")
		if !found {
			t.Fatal("the secondary lacks its zone")
		}
		n.call(t, http.MethodPost, "/zones", map[string]any{
			"name": name, "kind": "Slave", "masters": model.Masters, "account": model.Account, "soa_edit_api": "",
		})
	}
	serial := func(serial uint32) func(*testing.T, *nameserver, string) {
		return func(t *testing.T, n *nameserver, zone string) { n.patch(t, zone, soa(zone, serial)) }
	}
	for _, d := range []damage{
		{"missing", "c01.check.example.", func(t *testing.T, n *nameserver, zone string) { n.delete(t, zone) }},
		{"outdated", "c02.check.example.", serial(99)},
		{"ahead", "c03.check.example.", serial(101)},
		// By RFC 1982, 2³¹+99 comes after 100, and 2³¹+101 before it.
		{"ahead", "c04.check.example.", serial(1<<31 + 99)},
		{"outdated", "c05.check.example.", serial(1<<31 + 101)},
		{"left over", "never.published.example.", like},
	} {
		for _, n := range s.secondaries {
			t.Run(d.kind+" "+d.zone+" on "+n.name, func(t *testing.T) {
				s.waitIdle(t, d.zone) // else something else may mend it before the check sees it
				found, repaired := fmt.Sprintf(`pdnsdist_check_found_total{check="health-check",kind=%q}`, d.kind), `pdnsdist_check_repaired_total{check="health-check"}`
				foundBefore, repairedBefore := s.metric(t, found), s.metric(t, repaired)
				d.do(t, n, d.zone)
				s.printed(t, 0, "check", `health check in-sync.*`, n.name+` in-sync: 30 of 30 zones right, .*found 1 `+d.kind+`, left 0: `+strings.ReplaceAll(d.zone, ".", `\.`)+` `+d.kind)
				s.record(t, "health-check", "check_health_"+strings.ReplaceAll(d.kind, " ", "_"))
				if got := s.metric(t, found) - foundBefore; got != 1 {
					t.Errorf("%g are counted as found, want 1", got)
				}
				if got := s.metric(t, repaired) - repairedBefore; got != 1 {
					t.Errorf("%g are counted as repaired, want 1", got)
				}
				if _, there := n.zone(t, d.zone); there == (d.kind == "left over") {
					t.Errorf("%s: there: %t", d.zone, there)
				}
				if d.kind != "left over" {
					must(t, servesSerial(t.Context(), d.zone, 100, s.secondaries...))
				}
			})
		}
	}
	t.Run("left over, deleted before", func(t *testing.T) {
		const zone = "deleted.check.example."
		n := s.secondaries[0]
		s.proxy.create(t, zone, 1)
		until(t, soon, func() error { return servesSerial(t.Context(), zone, 1, s.secondaries...) })
		s.proxy.delete(t, zone)
		until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
		s.waitIdle(t, zone)
		like(t, n, zone)
		s.printed(t, 0, "check", n.name+` in-sync: .*found 1 left over, left 0: deleted\.check\.example\. left over`)
		if _, there := n.zone(t, zone); there {
			t.Errorf("%s is still there", zone)
		}
	})
	t.Run("foreign", func(t *testing.T) { // found and told, and left alone
		const zone = "foreign.check.example."
		n := s.secondaries[1]
		n.call(t, http.MethodPost, "/zones", newZone(zone, 7))
		s.proxy.create(t, zone, 1)
		until(t, soon, func() error { return servesSerial(t.Context(), zone, 1, s.secondaries[0]) })
		s.waitIdle(t, zone)
		s.printed(t, 1, "check", `health check partial.*`, n.name+` lagging: .*found 1 foreign, left 1: foreign\.check\.example\. foreign`)
		must(t, servesSerial(t.Context(), zone, 7, n))
		n.delete(t, zone)
		s.proxy.delete(t, zone)
		until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
		s.waitIdle(t, zone)
	})
}

// A secondary whose worker is dead is lagging, whatever its PowerDNS answers.
func testDeadWorkerIsLagging(t *testing.T, s *site) {
	s.do(t, "kill", "secondary-2")
	must(t, servesSerial(t.Context(), "c00.check.example.", 100, s.secondaries...))
	s.printed(t, 1, "check", `health check partial.*`, `secondary-1 in-sync: .*`, `secondary-2 lagging: its worker does not answer.*`)
	s.record(t, "health-check", "check_health_dead_worker")
	until(t, soon, func() error { // once Consul has missed it
		return s.prints(t, 1, "status", `secondary-2 +no .*`, `last health check: partial.*`)
	})
}

// A change past the api-proxy is found within a minute or so, whichever it is, and also where it was made while the proxy and
// the worker beside it did not run.
func testPastTheProxy(t *testing.T, s *site) {
	const made, gone, changed = "made.past.example.", "c10.check.example.", "c11.check.example."
	const bySQL, whileDown = "c13.check.example.", "c14.check.example."
	s.do(t, "stop", "primary")
	s.pdnsutil(t, "increase-serial", whileDown)
	s.do(t, "start", "primary")
	s.sql(t, `UPDATE records SET content = replace(content, ' 100 ', ' 101 ') WHERE type = 'SOA' AND name = 'c13.check.example'`)
	s.pdnsutil(t, "create-zone", made, "ns1.example.net")
	s.pdnsutil(t, "delete-zone", gone)
	s.pdnsutil(t, "increase-serial", changed)
	since := time.Now()
	until(t, 3*time.Minute, func() error { // scans make way where listing takes long
		for _, zone := range []string{changed, bySQL, whileDown} {
			if err := servesSerial(t.Context(), zone, 101, s.secondaries...); err != nil {
				return err
			}
		}
		if err := notServed(t.Context(), gone, s.secondaries...); err != nil {
			return err
		}
		return hasAnswer(t.Context(), made, dns.TypeNS, []string{"ns1.example.net."}, s.secondaries...)
	})
	t.Logf("found and served after %s", time.Since(since).Round(time.Millisecond))
	s.record(t, "primary-scan", "scan_primary")
	s.counts(t, "primary-scan", 1)
}

// sql changes the primary's database.
func (s *site) sql(t testing.TB, statement string) {
	t.Helper()
	database := filepath.Join(s.Dir(), "data", "pdns-primary", "pdns.sqlite3")
	if out, err := exec.CommandContext(t.Context(), "sqlite3", "-cmd", ".timeout 10000", database, statement).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", statement, err, out)
	}
}

func (s *site) pdnsutil(t testing.TB, args ...string) {
	t.Helper()
	s.direct.changes.Lock()
	defer s.direct.changes.Unlock()
	args = append([]string{"--config-dir=" + filepath.Join(s.Dir(), "config", "pdns-primary")}, args...)
	if out, err := exec.CommandContext(t.Context(), "pdnsutil", args...).CombinedOutput(); err != nil {
		t.Fatalf("pdnsutil %v: %v\n%s", args, err, out)
	}
}

func (r checkReport) String() string {
	data, err := json.Marshal(r)
	if err != nil {
		return err.Error()
	}
	return string(data)
}
