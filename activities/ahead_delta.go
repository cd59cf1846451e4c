package activities

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// deltaTries is how often a delta is tried whose changes are not all known yet.
	deltaTries = 4
	// deltaAgain is the pause before the next try: an answer of PowerDNS takes about as
	// long to come through the api-proxy.
	deltaAgain = 5 * time.Millisecond
)

// hints are what API calls are said to have changed.
type hints struct {
	// calls counts them. unknown says that of one it is not known what it changed.
	calls   int
	unknown bool
	rrsets  []pdns.RRsetName
	// made is what the first call made the zone with, where the others changed
	// nothing but records.
	made pdns.Settings
	// answer is PowerDNS's to that call, where there are no others, and before the
	// revision that was known before it; see [pdns.Call].
	answer []byte
	before uint64
}

// add takes in one call.
func (h *hints) add(call pdns.Call) {
	h.join(hints{calls: 1, unknown: len(call.RRsets) == 0, rrsets: call.RRsets})
	if h.calls == 1 {
		h.made, h.answer, h.before = call.Made, call.Answer, call.Before
	}
}

// join takes in later calls.
func (h *hints) join(later hints) {
	if later.unknown {
		h.made = pdns.Settings{}
	}
	if later.calls > 0 {
		h.answer = nil
	}
	h.calls += later.calls
	h.unknown = h.unknown || later.unknown
	h.take(later.rrsets)
}

func (h *hints) take(rrsets []pdns.RRsetName) {
	for _, rrset := range rrsets {
		if !slices.Contains(h.rrsets, rrset) {
			h.rrsets = append(h.rrsets, rrset)
		}
	}
}

// exportDelta publishes what has changed as a delta of the last version, where that
// can be done. It reports whether it was.
func (a *Ahead) exportDelta(ctx context.Context, last pdns.Version, revision uint64, start *headStart) (ExportZoneResult, bool) {
	if a.primary.Source == nil || last.HasBase(a.primary.ID) != "" {
		return ExportZoneResult{}, false
	}
	for try := 1; ; try++ {
		known, _ := a.covered(start)
		if known.unknown {
			return ExportZoneResult{}, false
		}
		reading, ended := trace.Start(ctx, "export delta")
		result, err := deltas{a.primary}.export(reading, last, revision, known.rrsets, known.calls)
		ended(err)
		if err == nil {
			a.primary.Metrics.delta(deltaMade)
			return result, true
		}
		if !errors.Is(err, errMovedFurther) || try == deltaTries {
			a.primary.Metrics.delta(deltaRefused)
			return ExportZoneResult{}, false
		}
		select {
		case <-time.After(deltaAgain):
		case <-ctx.Done():
			return ExportZoneResult{}, false
		}
		a.join(last.Zone, start)
	}
}

// covered is what is known of the changes that an export covers.
func (a *Ahead) covered(start *headStart) (hints, pdns.Proxied) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return start.hints, start.proxied
}

// join has an export cover the changes that wait as well: PowerDNS had taken
// them before it looked.
func (a *Ahead) join(zone string, start *headStart) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.zones[zone]
	next := z.next
	if next == nil {
		return
	}
	a.waiting--
	z.next = nil
	start.joined = append(start.joined, next)
	start.changes = append(start.changes, next.changes...)
	start.proxied = start.proxied.And(next.proxied)
	start.hints.join(next.hints)
	next.hints.answer = nil
}
