package e2e

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.temporal.io/api/enums/v1"
)

// A secondary is cut off while zones are made, changed and deleted by the hundred. When it is back, all of it is there
// soon, without waiting for a check.
func testCutOff(t *testing.T, s *site) {
	const made, changed, deleted = 500, 200, 100
	name := func(i int) string { return fmt.Sprintf("x%03d.cut.example.", i) }
	for i := range changed + deleted {
		s.proxy.create(t, name(i), 1)
	}
	for i := range changed + deleted {
		until(t, soon, func() error { return servesSerial(t.Context(), name(i), 1, s.secondaries...) })
	}
	cut, other := s.secondaries[0], s.secondaries[1]
	s.do(t, "pause", cut.name)
	for i := range changed {
		s.proxy.patch(t, name(i), soa(name(i), 2))
	}
	for i := range deleted {
		s.proxy.delete(t, name(changed+i))
	}
	for i := range made {
		s.proxy.create(t, name(changed+deleted+i), 3)
	}
	right := func(servers ...*nameserver) error {
		for i := range changed {
			if err := servesSerial(t.Context(), name(i), 2, servers...); err != nil {
				return err
			}
		}
		for i := range deleted {
			if err := notServed(t.Context(), name(changed+i), servers...); err != nil {
				return err
			}
		}
		for i := range made {
			if err := servesSerial(t.Context(), name(changed+deleted+i), 3, servers...); err != nil {
				return err
			}
		}
		return nil
	}
	until(t, 2*soon, func() error { return right(other) })
	s.do(t, "resume", cut.name)
	back := time.Now()
	until(t, 2*soon, func() error { return right(cut) })
	t.Logf("%d made, %d changed, %d deleted: right %s after its return", made, changed, deleted, time.Since(back).Round(time.Millisecond))
}

// A secondary comes back empty and is filled by a full compare, which asks NATS for each zone and takes some seconds, as NATS is
// away. A zone that is changed meanwhile, one time after the other, does not wait for the many others.
func testEmptied(t *testing.T, s *site) {
	const zone = "lone.empty.example."
	zones := append(guardZones(0, 600), zone)
	s.make(t, zones, 1)
	s.waitIdle(t)
	n := s.secondaries[0]
	s.do(t, "stop", n.name)
	s.moveAway(t, n.name, strings.TrimPrefix(s.env["NATS_URL"], "tls://"), 20*time.Millisecond)
	for _, zone := range zones {
		n.delete(t, zone)
	}
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	since := time.Now()
	begun, running := false, false
	look := func() {
		described, err := c.DescribeWorkflowExecution(t.Context(), "reconcile-secondary/"+n.name, "")
		must(t, err)
		info := described.GetWorkflowExecutionInfo()
		begun = info.GetStartTime().AsTime().After(since)
		running = begun && info.GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
	}
	s.do(t, "start", n.name)
	until(t, soon, func() error {
		look()
		return wants(begun, "no full compare of %s has begun", n.name)
	})
	served := 0
	for serial := uint32(2); running; serial++ {
		s.proxy.patch(t, zone, soa(zone, serial))
		until(t, soon, func() error { return servesSerial(t.Context(), zone, serial, s.secondaries...) })
		if look(); running {
			served++
		}
	}
	if served == 0 {
		t.Error("a change waited until the full compare had ended")
	}
	must(t, s.allServed(t.Context(), 1, zones[:600]))
	s.record(t, "reconcile-secondary/"+n.name, "reconcile_secondary_return")
	t.Logf("%d changes were served, one after the other, while %s was filled", served, n.name)
}

// jetStream connects as the operator.
func (s *site) jetStream() (js jetstream.JetStream, closeConn func(), err error) {
	nc, err := s.ConnectNATS("operator")
	if err != nil {
		return nil, nil, err
	}
	js, err = jetstream.New(nc)
	return js, nc.Close, err
}

// metric reads one series from the primary's /metrics; 0 where there is none.
func (s *site) metric(t testing.TB, series string) float64 {
	t.Helper()
	return s.metricOf(t, "primary", series)
}

// metricOf is metric of any process.
func (s *site) metricOf(t testing.TB, process, series string) float64 {
	t.Helper()
	config, err := os.ReadFile(s.ConfigPath(process))
	must(t, err)
	listen := regexp.MustCompile(`(?s)\[metrics\]\nlisten = "([^"]+)"`).FindSubmatch(config)
	shown, err := metrics(t.Context(), "http://"+string(listen[1])+"/metrics")
	must(t, err)
	for line := range strings.Lines(shown) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), series+" "); ok {
			number, err := strconv.ParseFloat(value, 64)
			must(t, err)
			return number
		}
	}
	return 0
}
