package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// testGuard has a system of its own: what is deleted there past the proxy counts for all of it.
func testGuard(t *testing.T) {
	s := startSite(t, system.Topology{}, quickCheck)
	zones := guardZones(0, 40)
	s.make(t, zones, 1)
	t.Run("half of the zones gone", func(t *testing.T) { testHalfGone(t, s.on(t), zones[:21], zones[21:]) })
	t.Run("no zone left", func(t *testing.T) { testNoneLeft(t, s.on(t), zones[21:]) })
	t.Run("a zone shrinks", func(t *testing.T) { testShrinks(t, s.on(t)) })
	t.Run("zones that are not distributed", func(t *testing.T) { testSelection(t, s.on(t)) })
	t.Run("500 deletes by the API", func(t *testing.T) { testManyAPIDeletes(t, s.on(t)) })
}

func guardZones(from, to int) []string {
	var zones []string
	for i := from; i < to; i++ {
		zones = append(zones, fmt.Sprintf("g%03d.guard.example.", i))
	}
	return zones
}

// make makes zones through the proxy and waits until they are served.
func (s *site) make(t *testing.T, zones []string, serial uint32) {
	t.Helper()
	for _, zone := range zones {
		s.proxy.create(t, zone, serial)
	}
	for _, zone := range zones {
		until(t, soon, func() error { return servesSerial(t.Context(), zone, serial, s.secondaries...) })
	}
}

// allServed returns nil when every secondary serves every zone.
func (s *site) allServed(ctx context.Context, serial uint32, zones []string) error {
	for _, zone := range zones {
		if err := servesSerial(ctx, zone, serial, s.secondaries...); err != nil {
			return err
		}
	}
	return nil
}

// program publishes an event as another program does, which may do nothing but that.
func (s *site) program(t *testing.T, subject string, zones ...string) {
	t.Helper()
	conn, err := s.ConnectNATS(system.RoleProgram)
	must(t, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	must(t, err)
	for _, zone := range zones {
		_, err := js.Publish(t.Context(), subject, fmt.Appendf(nil, `{"zone":%q}`, zone))
		must(t, err)
	}
}

// digestOf is the digest that `status` shows of a hold.
func (s *site) digestOf(t *testing.T, hold string) string {
	t.Helper()
	out, _ := s.command(t.Context(), "status")
	found := regexp.MustCompile(`(?m)^held ` + regexp.QuoteMeta(hold) + `: .* digest ([0-9a-f]+)$`).FindStringSubmatch(out)
	if found == nil {
		t.Fatalf("no hold %s in\n%s", hold, out)
	}
	return found[1]
}

// shows returns nil when a primary's metrics have this line.
func (s *site) shows(ctx context.Context, line string) error {
	got, err := metrics(ctx, s.env["PRIMARY_METRICS_URL"])
	return errOr(err, wants(strings.Contains(got, "\n"+line+"\n"), "no %q in the metrics", line))
}

// metrics are those that a process shows at this URL.
func metrics(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// testHalfGone: 21 of 40 zones are lost past the proxy, and a program tells of each. That is nobody's will.
func testHalfGone(t *testing.T, s *site, gone, left []string) {
	for _, zone := range gone {
		s.direct.delete(t, zone)
	}
	s.program(t, "zone.delete", gone...)
	until(t, soon, func() error {
		return s.prints(t, 0, "status", `held deletes: 21 held since .*`, ` +21 of 40 zones are gone .*guard\.max_delete.*`, ` +g000\.guard\.example\. .* and 1 more`)
	})
	s.printed(t, 0, "status --holds", `deletes g000\.guard\.example\. .* undecided`, `deletes g020\.guard\.example\. .* undecided`)
	must(t, s.allServed(t.Context(), 1, append(append([]string{}, gone...), left...)))
	s.printed(t, 1, "resync "+gone[3], regexp.QuoteMeta(gone[3])+` held: .*`, ` +zone g003.*decide with .pdns-distribute approve deletes.*`)
	until(t, soon, func() error {
		return s.shows(t.Context(), `pdnsdist_held_changes{decision="undecided",kind="delete"} 21`)
	})

	// It stays so over a restart, also when its workflow was lost.
	s.do(t, "stop", "primary")
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	must(t, c.TerminateWorkflow(t.Context(), "held/deletes", "", "lost"))
	s.do(t, "start", "primary")
	until(t, 2*time.Minute, func() error {
		held, err := s.hold(t.Context(), "deletes")
		running := runs(t.Context(), c, "held/deletes")
		return errOr(err, wants(running && held.Outcome == "held" && held.Held.Undecided == 21, "the hold is %+v, running: %t", held, running))
	})
	must(t, s.allServed(t.Context(), 1, gone))

	s.printed(t, 1, "approve deletes --digest 000000000000000000000000", `pdns-distribute: what is held as deletes is not what digest 0+ stands for.*`)
	s.printed(t, 1, "approve shrink/"+gone[0], `pdns-distribute: nothing is held as shrink/.*`)
	s.printed(t, 2, "approve everything", `pdns-distribute: "everything" is no hold.*`)
	must(t, s.allServed(t.Context(), 1, gone))
	s.printed(t, 0, "approve deletes --digest "+s.digestOf(t, "deletes"), `approved deletes: 21 changes`)
	for _, zone := range gone {
		until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
	}
	must(t, s.allServed(t.Context(), 1, left))
	until(t, soon, func() error {
		return s.shows(t.Context(), `pdnsdist_held_changes{decision="undecided",kind="delete"} 0`)
	})
}

// testNoneLeft: the primary has lost everything. The scan finds it, the guard holds it, and it comes back.
func testNoneLeft(t *testing.T, s *site, zones []string) {
	for _, zone := range zones {
		s.direct.delete(t, zone)
	}
	s.command(t.Context(), "check")
	until(t, 2*time.Minute, func() error {
		return s.prints(t, 0, "status", fmt.Sprintf(`held deletes: %d held since .*`, len(zones)), ` +the primary lists no zone that is distributed.*`)
	})
	must(t, s.allServed(t.Context(), 1, zones))
	s.printed(t, 0, "reject deletes", fmt.Sprintf(`rejected deletes: %d changes`, len(zones)))
	s.printed(t, 0, "status", ` +rejected: stays as it was published.*`)
	until(t, soon, func() error {
		held, err := s.hold(t.Context(), "deletes")
		return errOr(err, wants(held.Held.Rejected == len(zones) && held.Held.Undecided == 0, "the hold is %+v", held))
	})
	s.command(t.Context(), "check") // asks for them again
	must(t, s.allServed(t.Context(), 1, zones))

	for _, zone := range zones {
		s.direct.create(t, zone, 2)
	}
	s.command(t.Context(), "check")
	until(t, 2*time.Minute, func() error { return s.allServed(t.Context(), 2, zones) })
	until(t, soon, func() error { return s.nothingHeld(t.Context()) })
}

func (s *site) nothingHeld(ctx context.Context) error {
	out, _ := s.command(ctx, "status")
	return wants(!strings.Contains(out, "held "), "something is held:\n%s", out)
}

// testShrinks: a zone that loses most of its records past the proxy is held, one that is un-signed is not.
func testShrinks(t *testing.T, s *site) {
	const zone, many, few = "shrinks.guard.example.", 150, 20
	names := func(from, to int, values ...string) (sets []rrset) {
		for i := from; i < to; i++ {
			sets = append(sets, set(fmt.Sprintf("n%d.%s", i, zone), "TXT", values...))
		}
		return sets
	}
	s.proxy.create(t, zone, 1, names(0, many, `"there"`)...)
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 1, s.secondaries...) })
	s.proxy.setSigning(t, zone, map[string]any{"dnssec": true})
	until(t, soon, func() error { return agree(zone, s.direct, s.secondaries...) })
	signed, err := s.secondaries[0].transfer(zone)
	must(t, err)
	must(t, wants(len(signed) > 2*(many+3), "the signed zone has %d records: un-signing it would not lose half of them", len(signed)))
	s.waitIdle(t) // what the proxy's change is still owed would be taken for somebody's will
	s.direct.setSigning(t, zone, map[string]any{"dnssec": false})
	s.direct.patch(t, zone, soa(zone, 2))
	s.program(t, "zone.modified", zone)
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 2, s.secondaries...) })
	must(t, s.nothingHeld(t.Context()))

	s.direct.patch(t, zone, append(names(few, many), soa(zone, 3))...)
	s.program(t, "zone.modified", zone)
	until(t, soon, func() error {
		return s.prints(t, 0, "status", `held shrink/`+regexp.QuoteMeta(zone)+`: 1 held since .*`, ` +the zone shrinks from 153 records to 23 .*`)
	})
	must(t, servesSerial(t.Context(), zone, 2, s.secondaries...))
	out, code := s.tctl(t.Context(), "workflow", "signal", "--workflow_id", "held/shrink/"+zone, "--name", "approve",
		"--input", fmt.Sprintf(`{"digest":%q}`, s.digestOf(t, "shrink/"+zone)))
	must(t, wants(code == 0, "exit code %d\n%s", code, out))
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 3, s.secondaries...) })

	s.proxy.patch(t, zone, append(names(few, many, `"again"`), soa(zone, 4))...)
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 4, s.secondaries...) })
	s.proxy.patch(t, zone, append(names(few, many), soa(zone, 5))...)
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 5, s.secondaries...) })
	until(t, soon, func() error { return s.nothingHeld(t.Context()) })
}

// testManyAPIDeletes: 500 zones deleted through the proxy go at once.
func testManyAPIDeletes(t *testing.T, s *site) {
	zones := guardZones(100, 600)
	s.make(t, zones, 1)
	s.waitIdle(t) // the check of what was made would take zones for left over that are just being deleted, and sync each alone
	began := time.Now()
	for _, zone := range zones {
		s.proxy.delete(t, zone)
	}
	deleted := time.Since(began)
	for _, zone := range zones {
		until(t, 3*time.Minute, func() error { return notServed(t.Context(), zone, s.secondaries...) })
	}
	t.Logf("500 zones deleted in %s, served nowhere after %s", deleted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	until(t, soon, func() error { return s.nothingHeld(t.Context()) })
}

// holdStatus is what HoldChange answers to the query "status": a contract with people and scripts.
type holdStatus struct {
	Outcome string `json:"outcome"`
	Held    struct {
		Undecided int    `json:"undecided"`
		Rejected  int    `json:"rejected"`
		Digest    string `json:"digest"`
	} `json:"held"`
}

// hold asks the workflow of a hold.
func (s *site) hold(ctx context.Context, name string) (status holdStatus, err error) {
	c, err := dialTemporal(s.env)
	if err != nil {
		return status, err
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	value, err := c.QueryWorkflow(ctx, "held/"+name, "", "status")
	if err != nil {
		return status, err
	}
	return status, value.Get(&status)
}

// runs says whether a workflow is open.
func runs(ctx context.Context, c client.Client, id string) bool {
	described, err := c.DescribeWorkflowExecution(ctx, id, "")
	return err == nil && described.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

func errOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}
