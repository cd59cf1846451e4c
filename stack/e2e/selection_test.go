package e2e

import (
	"fmt"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// testSelection: which zones are distributed. Those that no longer are, are deleted as if they were gone, so that the guard
// holds many of them.
func testSelection(t *testing.T, s *site) {
	const kept, catalogue, added, back = "kept.which.example.", "catalogue.which.example.", "new.internal.which.example.", "i00.internal.which.example."
	var internal []string
	for i := range 12 {
		internal = append(internal, fmt.Sprintf("i%02d.internal.which.example.", i))
	}
	s.make(t, append([]string{kept}, internal...), 1)
	producer := newZone(catalogue, 1)
	producer["kind"] = "Producer"
	s.proxy.call(t, http.MethodPost, "/zones", producer)

	s.reconfigure(t, system.RolePrimary, "\n[zones]\nexclude = ['internal.which.example']\n")
	s.command(t.Context(), "check")
	until(t, 2*time.Minute, func() error { return s.prints(t, 0, "status", `held deletes: 12 held since .*`) })
	s.proxy.create(t, added, 1)
	s.proxy.patch(t, kept, soa(kept, 2))
	until(t, soon, func() error { return servesSerial(t.Context(), kept, 2, s.secondaries...) })
	must(t, s.allServed(t.Context(), 1, internal))
	s.printed(t, 0, "approve deletes", `approved deletes: 12 changes`)
	for _, zone := range internal {
		until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
	}
	s.printed(t, 0, "check", `health check in-sync.*`)
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	var report checkReport
	must(t, c.GetWorkflow(t.Context(), "health-check", "").Get(t.Context(), &report))
	must(t, wants(maps.Equal(report.Survey.NotDistributed, map[string]int{"Native": 13, "Producer": 1}), "left out are %v", report.Survey.NotDistributed))
	for _, zone := range []string{added, catalogue} {
		must(t, notServed(t.Context(), zone, s.secondaries...))
	}
	must(t, servesSerial(t.Context(), kept, 2, s.secondaries...))

	s.reconfigure(t, system.RolePrimary, "include = ['i00.internal.which.example', '.']\n")
	s.command(t.Context(), "check")
	until(t, soon, func() error { return servesSerial(t.Context(), back, 1, s.secondaries...) })
	must(t, notServed(t.Context(), internal[1], s.secondaries...))
	until(t, soon, func() error { return s.nothingHeld(t.Context()) })
}

// reconfigure adds settings to the end of a host's configuration and starts it again.
func (s *site) reconfigure(t *testing.T, name, settings string) {
	t.Helper()
	must(t, s.Reconfigure(t.Context(), name, func(before string) string { return before + settings }))
}
