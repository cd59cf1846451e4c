package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// sweepReport is what CheckContent, CheckSignatures and EnforceNSEC3 return: a contract with people and scripts.
type sweepReport struct {
	RunID       string         `json:"run_id"`
	Outcome     string         `json:"outcome"`
	Found       map[string]int `json:"found"`
	Repaired    int            `json:"repaired"`
	Error       string         `json:"error"`
	Zones       any            `json:"zones"`
	Left        []string       `json:"left"`
	Unrenewable []string       `json:"unrenewable"`
	Outcomes    map[string]int `json:"outcomes"`
	Secondaries []struct {
		ID     string         `json:"id"`
		State  string         `json:"state"`
		States map[string]int `json:"states"`
	} `json:"secondaries"`
}

// swept are the zones of testSweeps by how they are signed.
var swept = []string{"nsec.sweep.example.", "nsec3.sweep.example.", "optout.sweep.example.", "plain.sweep.example.", "presigned.sweep.example."}

// testSweeps has a system of its own: it edits the secondaries' databases, of both backends, and counts what is found.
func testSweeps(t *testing.T) {
	s := startSite(t, system.Topology{}, "")
	signer := newPresigner(t, swept[4])
	for _, zone := range swept[:4] {
		s.proxy.create(t, zone, 7, set("www."+zone, "A", "192.0.2.1"))
	}
	s.sign(t, swept[0], map[string]any{"dnssec": true})
	s.sign(t, swept[1], map[string]any{"dnssec": true, "nsec3param": "1 0 0 -"})
	s.sign(t, swept[2], map[string]any{"dnssec": true, "nsec3param": "1 1 5 ab12"})
	s.loadPresigned(t, swept[4], signer.signed(t, time.Now().AddDate(0, 0, 20)))
	until(t, soon, func() error { // Temporal knows new search attributes a few seconds later
		return s.prints(t, 0, "resync "+strings.Join(swept, " "))
	})
	t.Run("nothing to find", func(t *testing.T) { testSweepInSync(t, s.on(t)) })
	t.Run("edited by hand", func(t *testing.T) { testEditedByHand(t, s.on(t)) })
	t.Run("signatures end soon", func(t *testing.T) { testSignaturesEndSoon(t, s.on(t), signer) })
	t.Run("after the weekly roll", func(t *testing.T) { testWeeklyRoll(t, s.on(t)) })
	t.Run("signed otherwise", func(t *testing.T) { testSignedOtherwise(t, s.on(t)) })
	t.Run("joined", func(t *testing.T) { testSweepsAreJoined(t, s.on(t)) })
	t.Run("NSEC3 wanted", func(t *testing.T) { testNSEC3Wanted(t, s.on(t)) })
}

// sign changes how a zone is signed, through the api-proxy; on SQLite it may need another try, see setSigning.
func (s *site) sign(t testing.TB, zone string, settings map[string]any) {
	t.Helper()
	until(t, soon, func() error {
		r, err := s.proxy.do(t.Context(), http.MethodPut, "/zones/"+zone, settings)
		if err != nil {
			return err
		}
		return wants(r.status/100 == 2, "change the signing of %s: %s", zone, r)
	})
}

// sweep runs a check under an ID that is not its own and returns its report.
func (s *site) sweep(t testing.TB, flow string) sweepReport {
	t.Helper()
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: "pdns-distribute"}, flow, map[string]any{})
	must(t, err)
	var report sweepReport
	must(t, run.Get(t.Context(), &report))
	return report
}

func testSweepInSync(t *testing.T, s *site) {
	s.printed(t, 0, "check --content --signatures",
		`content check in-sync .*`, `5 zones compared; on the primary 5 current`, `secondary-1 in-sync: 5 same`, `secondary-2 in-sync: 5 same`,
		`signature check in-sync .*`, `4 zones compared; on the primary 4 current`,
		`secondary-1 in-sync: 4 fresh; the first signature ends .*`, `secondary-2 in-sync: 4 fresh; .*`, `a sample from outside: 8 fresh; .*`)
	s.counts(t, "content-check", 1)
	s.counts(t, "signature-check", 1)
	for _, n := range s.secondaries {
		least := s.metricOf(t, n.name, "pdnsdist_signature_remaining_seconds_min")
		// PowerDNS's own last 7 to 14 days more.
		if left := time.Duration(least) * time.Second; left < 7*24*time.Hour || left > 14*24*time.Hour {
			t.Errorf("%s: signatures are good for %s", n.name, left)
		}
	}
}

// A record edited by hand, a lost one, a wrong TTL, one too many: at an equal serial, in each kind of zone, on each backend.
func testEditedByHand(t *testing.T, s *site) {
	for _, edit := range []struct {
		name string
		set  func(zone string) rrset
	}{
		{"wrong TTL", func(zone string) rrset {
			return rrset{Name: "www." + zone, Type: "A", TTL: 5, Records: []record{{Content: "192.0.2.1"}}}
		}},
		{"other address", func(zone string) rrset { return set("www."+zone, "A", "192.0.2.66") }},
		{"lost record", func(zone string) rrset { return set("www."+zone, "A") }},
		{"one too many", func(zone string) rrset { return set("more."+zone, "TXT", `"by hand"`) }},
	} {
		for _, n := range s.secondaries {
			t.Run(edit.name+" on "+n.name, func(t *testing.T) {
				const series = `pdnsdist_check_found_total{check="content-check",kind="different"}`
				before := s.metric(t, series)
				for _, zone := range swept {
					n.patch(t, zone, edit.set(zone))
				}
				s.printed(t, 0, "check --content", `content check in-sync .*`, `5 zones compared; on the primary 5 current; found 5 different, repaired 5`,
					n.name+` in-sync: 5 different; left 0: zone .*sweep\.example\.: holds other content \(serial \d+, [1-9]\d* records\) than version \d+ \(serial \d+, [1-9]\d* records\)`)
				for _, zone := range swept {
					must(t, agree(zone, s.direct, n))
				}
				if got := s.metric(t, series); got != before+5 {
					t.Errorf("%g are counted, %g before", got, before)
				}
			})
		}
	}
	t.Run("in the primary's database", func(t *testing.T) {
		s.pdnsutil(t, "add-record", swept[3], "past", "TXT", "60", `"the API"`)
		s.printed(t, 0, "check --content", `content check in-sync .*`, `5 zones compared; on the primary 4 current, 1 published; found 1 changed.*`)
		must(t, agree(swept[3], s.direct, s.secondaries...))
	})
}

// Signatures that nobody renews are reported, each time, and nothing is synced for them; once they are renewed, at the same
// serial and past the API, the secondaries follow.
func testSignaturesEndSoon(t *testing.T, s *site, signer *presigner) {
	zone := swept[4]
	s.loadPresigned(t, zone, signer.signed(t, time.Now().AddDate(0, 0, 2)))
	s.printed(t, 0, "resync "+zone)
	unrenewable, changed := `pdnsdist_check_surveyed_zones_total{check="signatures",outcome="unrenewable"}`, `pdnsdist_check_found_total{check="signature-check",kind="changed"}`
	unrenewableBefore, changedBefore := s.metric(t, unrenewable), s.metric(t, changed)
	for range 2 {
		s.printed(t, 1, "check --signatures", `signature check partial .*`, `the signatures of 1 zones end soon on the primary itself, such as those of `+zone+`: who signs them must renew these`,
			`4 zones compared; on the primary 3 current, 1 unrenewable`, `secondary-1 in-sync: 4 fresh; .*`)
	}
	if report := s.sweep(t, "CheckSignatures"); len(report.Found) > 0 || len(report.Unrenewable) != 1 {
		t.Errorf("what no sync can mend was synced: %+v", report)
	}
	s.loadPresigned(t, zone, signer.signed(t, time.Now().AddDate(0, 0, 25)))
	report := s.sweep(t, "CheckSignatures")
	// Secondaries that follow what is published may have it before they are asked.
	if report.Outcome != "in-sync" || report.Found["changed"] != 1 || report.Repaired == 0 {
		t.Errorf("renewed: %+v", report)
	}
	if times, more := s.metric(t, unrenewable)-unrenewableBefore, s.metric(t, changed)-changedBefore; times < 3 || more != 1 {
		t.Errorf("counted %g zones that nobody renews and %g changed ones, want one each time, and one", times, more)
	}
	must(t, agree(zone, s.direct, s.secondaries...))
}

// Signatures of last week, which PowerDNS has renewed without a new serial, are fetched by the scan of the primary. PowerDNS's
// clock cannot be moved, so a signer makes signatures that end when PowerDNS's do.
func testWeeklyRoll(t *testing.T, s *site) {
	const week = 7 * 24 * time.Hour
	roll := time.Unix(time.Now().Unix()/int64(week.Seconds())*int64(week.Seconds()), 0)
	// A scan by the schedule, between the two weeks' signatures, sees that zone once and not again for hours: try another one.
	for _, zone := range []string{"roll.sweep.example.", "roll-2.sweep.example."} {
		signer := newPresigner(t, zone)
		s.loadPresigned(t, zone, signer.signed(t, roll.Add(week)))
		s.printed(t, 0, "resync "+zone)
		must(t, agree(zone, s.direct, s.secondaries...))
		s.loadPresigned(t, zone, signer.signed(t, roll.Add(2*week)))
		report := s.sweep(t, "ScanPrimary")
		if report.Found["stale"] != 1 {
			t.Errorf("the scan found %v, want 1 stale", report.Found)
		}
		err := poll(10*time.Second, func() error { return agree(zone, s.direct, s.secondaries...) })
		s.pdnsutil(t, "delete-zone", zone)
		s.sweep(t, "ScanPrimary")
		until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
		if err == nil {
			return
		}
		t.Log(err)
	}
	t.Error("the secondaries have last week's signatures still")
}

// Zones that are signed otherwise past the api-proxy, at an equal serial, in each kind of denial.
func testSignedOtherwise(t *testing.T, s *site) {
	for _, zone := range swept[:3] {
		s.direct.call(t, http.MethodPost, "/zones/"+zone+"/cryptokeys", map[string]any{"keytype": "csk", "active": true, "algorithm": "rsasha256", "bits": 2048})
	}
	s.printed(t, 0, "check --signatures", `signature check in-sync .*`, `.*found 12 different, repaired 12`, `secondary-2 in-sync: 3 different, 1 fresh; .*`)
	for _, zone := range swept[:3] {
		must(t, agree(zone, s.direct, s.secondaries...))
		v, err := newValidatorOf(t.Context(), s.direct, zone)
		must(t, err)
		for _, n := range s.secondaries {
			in, err := n.ask(t.Context(), "www."+zone, dns.TypeA, true)
			must(t, err)
			if got, err := v.check(in, "www."+zone, dns.TypeA); err != nil || got != positive {
				t.Errorf("%s on %s: %q, %v", zone, n.name, got, err)
			}
		}
	}
}

// A check that is started under any other ID hands over to the one at work.
func testSweepsAreJoined(t *testing.T, s *site) {
	for flow, id := range map[string]string{"CheckContent": "content-check", "CheckSignatures": "signature-check", "EnforceNSEC3": "nsec3-policy"} {
		report := s.sweep(t, flow)
		c, err := dialTemporal(s.env)
		must(t, err)
		defer c.Close()
		last, err := c.DescribeWorkflowExecution(t.Context(), id, "")
		must(t, err)
		if got := last.GetWorkflowExecutionInfo().GetExecution().GetRunId(); got != report.RunID {
			t.Errorf("%s was served by run %s, the last run of %s is %s", flow, report.RunID, id, got)
		}
	}
	if report := s.sweep(t, "EnforceNSEC3"); report.Outcome != "skipped" || !strings.Contains(report.Error, "nsec3.enforce") {
		t.Errorf("without the policy: %+v", report)
	}
}

// With the policy on, zones that PowerDNS signs with NSEC have NSEC3 soon; others stay as they are.
func testNSEC3Wanted(t *testing.T, s *site) {
	const old = "oldkey.sweep.example."
	s.proxy.create(t, old, 7)
	s.direct.call(t, http.MethodPost, "/zones/"+old+"/cryptokeys", map[string]any{"keytype": "csk", "active": true, "algorithm": "rsasha1", "bits": 1024})
	s.printed(t, 0, "resync "+old)
	before := s.denialOf(t, swept[4])
	config, err := os.ReadFile(s.ConfigPath("primary"))
	must(t, err)
	must(t, os.WriteFile(s.ConfigPath("primary"), append(config, "\n[nsec3]\nenforce = true\n"...), 0o600))
	s.do(t, "stop", "primary")
	s.do(t, "start", "primary")
	var report sweepReport
	until(t, soon, func() error { // the mirror of the newest versions fills
		report = s.sweep(t, "EnforceNSEC3")
		return wants(report.Outcomes["wanted"] == 1, "%+v", report)
	})
	if report.Outcome != "in-sync" || report.Outcomes["presigned"] != 1 || report.Outcomes["old keys"] != 1 || report.Found["nsec"] != 1 || report.Repaired != 1 {
		t.Errorf("%+v", report)
	}
	if got := s.metric(t, `pdnsdist_nsec3_zones_total{outcome="wanted"}`); got != 1 {
		t.Errorf("%g zones are counted", got)
	}
	until(t, soon, func() error { return agree(swept[0], s.direct, s.secondaries...) })
	for zone, want := range map[string]string{swept[0]: "NSEC3", swept[1]: "NSEC3", old: "NSEC", swept[4]: before} {
		if got := s.denialOf(t, zone); got != want {
			t.Errorf("%s denies with %s, want %s", zone, got, want)
		}
	}
	if report := s.sweep(t, "EnforceNSEC3"); report.Outcomes["wanted"] != 0 || report.Repaired != 0 {
		t.Errorf("once more: %+v", report)
	}
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	for _, schedule := range []string{"signature-check", "content-check", "nsec3-policy"} {
		until(t, soon, func() error {
			_, err := c.ScheduleClient().GetHandle(t.Context(), schedule).Describe(t.Context())
			return err
		})
	}
}

// denialOf is the type of record by which the first secondary denies a name of the zone.
func (s *site) denialOf(t testing.TB, zone string) string {
	t.Helper()
	in, err := s.secondaries[0].ask(t.Context(), fmt.Sprintf("absent-%d.%s", time.Now().UnixNano(), zone), dns.TypeA, true)
	must(t, err)
	for _, rr := range in.Ns {
		switch kind := rr.Header().Rrtype; kind {
		case dns.TypeNSEC:
			return "NSEC"
		case dns.TypeNSEC3:
			return "NSEC3"
		}
	}
	return "none"
}
