package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// The parts of a primary run in a process of their own each, the api-proxy in "primary". Each may die and come back alone.
func testRolesApart(t *testing.T) {
	s := startSite(t, system.Topology{Apart: true}, "")
	t.Run("one change", func(t *testing.T) { testOneChangeApart(t, s.on(t)) })
	s.outages(t, []outage{
		{"primary", "kill", shortOutage, false},
		{"primary-trigger", "kill", shortOutage, true},
		{"primary-worker", "kill", longOutage, true},
	})
}

// testOneChangeApart: a new zone and a change of it are served, and each process runs its part alone.
func testOneChangeApart(t *testing.T, s *site) {
	const zone = "apart.example."
	s.proxy.create(t, zone, 1, set("www."+zone, "TXT", `"1"`))
	until(t, soon, func() error { return answered(t.Context(), zone, `"1"`, s.secondaries) })
	began := time.Now()
	s.proxy.patch(t, zone, set("www."+zone, "TXT", `"2"`), soa(zone, 2))
	until(t, soon, func() error { return answered(t.Context(), zone, `"2"`, s.secondaries) })
	t.Logf("served after %s", time.Since(began).Round(time.Millisecond))

	// Each of these metrics is there from the start, where its part runs.
	parts := map[string]string{
		"primary": "pdnsdist_outbox_pending", "primary-trigger": "pdnsdist_event_dispatch_duration_seconds", "primary-worker": "pdnsdist_secondaries",
	}
	processes, err := s.Processes()
	must(t, err)
	for _, p := range processes {
		own, ok := parts[p.Name]
		if !ok {
			continue
		}
		url := "http://" + p.Address + "/metrics"
		if p.Name == "primary" {
			url = s.env["PRIMARY_METRICS_URL"] // its address is the api-proxy's
		}
		got, err := metrics(t.Context(), url)
		must(t, err)
		for _, metric := range parts {
			if shown := strings.Contains(got, "\n# TYPE "+metric+" "); shown != (metric == own) {
				t.Errorf("%s shows %s: %t", p.Name, metric, shown)
			}
		}
	}
}
