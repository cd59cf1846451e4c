package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// 200 changes in a row share exports, and the last one is what is served in the end. Not parallel: it is timed.
func TestBurst(t *testing.T) {
	const zone, changes, maxExports = "burst.example.", 200, 40
	primary.create(t, zone, 1, set("www."+zone, "TXT", `"0"`))
	waitServed(t, zone, 1)
	before := waitStatus(t, zone, inSync).Exports

	began := time.Now()
	for i := range changes {
		primary.patch(t, zone, set("www."+zone, "TXT", fmt.Sprintf(`"%d"`, i+1)), soa(zone, uint32(i+2)))
	}
	answered := time.Now()
	until(t, soon, func() error { return servesSerial(t.Context(), zone, changes+1, secondaries...) })
	served := time.Since(answered)

	until(t, soon, func() error {
		return hasAnswer(t.Context(), "www."+zone, dns.TypeTXT, []string{fmt.Sprintf(`"%d"`, changes)}, secondaries...)
	})
	waitSame(t, zone)
	s := waitStatus(t, zone, func(s syncStatus) error {
		return wants(s.Outcome == "in-sync" && s.Serial == changes+1, "want serial %d in sync", changes+1)
	})
	exports := s.Exports - before
	t.Logf("%d changes in %s: %d exports, the last served on both %s after its answer", changes, answered.Sub(began).Round(time.Millisecond), exports, served.Round(100*time.Microsecond))
	if exports < 1 || exports > maxExports {
		t.Errorf("%d exports for %d changes, want 1 to %d; status: %s", exports, changes, maxExports, s)
	}
}

// How long a change takes from the API's answer until both secondaries serve it. Not parallel: it is timed, and printed
// rather than judged, since the machine decides.
func TestLatency(t *testing.T) {
	const zone, changes = "latency.example.", 100
	primary.create(t, zone, 1, set("www."+zone, "TXT", `"0"`))
	waitServed(t, zone, 1)
	waitStatus(t, zone, inSync)
	fromCall, fromAnswer := make([]time.Duration, 0, changes), make([]time.Duration, 0, changes)
	for i := range changes {
		serial := uint32(i + 2)
		called := time.Now()
		primary.patch(t, zone, set("www."+zone, "TXT", fmt.Sprintf(`"%d"`, i+1)), soa(zone, serial))
		answered := time.Now()
		waitFast(t, zone, serial)
		fromCall, fromAnswer = append(fromCall, time.Since(called)), append(fromAnswer, time.Since(answered))
	}
	t.Logf("%d changes, API call → served on both: %s; API answer → served on both: %s", changes, quantiles(fromCall), quantiles(fromAnswer))
}

// waitFast is waitServed that asks without a pause.
func waitFast(t testing.TB, zone string, serial uint32) {
	t.Helper()
	deadline := time.Now().Add(soon)
	for _, n := range secondaries {
		for err := servesSerial(t.Context(), zone, serial, n); err != nil; err = servesSerial(t.Context(), zone, serial, n) {
			if time.Now().After(deadline) {
				t.Fatalf("after %s: %v", soon, err)
			}
		}
	}
}

func quantiles(took []time.Duration) string {
	slices.Sort(took)
	at := func(q float64) time.Duration { return took[int(q*float64(len(took)-1))].Round(100 * time.Microsecond) }
	return fmt.Sprintf("p50 %s, p90 %s, p99 %s, max %s", at(0.5), at(0.9), at(0.99), at(1))
}
