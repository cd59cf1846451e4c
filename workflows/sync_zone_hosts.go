package workflows

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// What is known of one secondary and the zone; SecondaryStatus.State.
const (
	// StatePending: it was asked and has not answered yet.
	StatePending = "pending"
	// StateInSync: it was seen to serve the version.
	StateInSync = "in-sync"
	// StateLagging: it could not be brought there in time; it is reconciled
	// on its return.
	StateLagging = "lagging"
	// StateForeign: it holds a zone of this name that is not ours.
	StateForeign = "foreign"
	// StatePaused: it is paused and gets nothing; it is reconciled when it is resumed.
	StatePaused = "paused"
	// StateOutdated: it says that it serves the version, but from outside
	// it does not.
	StateOutdated = "outdated"
)

// SecondaryStatus is what a sync knows of one secondary.
type SecondaryStatus struct {
	ID    string `json:"id"`
	State string `json:"state"`
	// Reachable is what Consul said.
	Reachable bool      `json:"reachable"`
	Version   int64     `json:"version,omitempty"`
	Serial    uint32    `json:"serial,omitempty"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
	// TookMS is how long the last apply took there, in milliseconds.
	TookMS int64  `json:"took_ms,omitempty"`
	Error  string `json:"error,omitempty"`
}

// hostSync brings the zone to one secondary. One apply runs at a time; what is
// owed meanwhile is one more, whatever the number of exports. So a slow
// secondary holds up neither the others nor the next export.
type hostSync struct {
	sync *zoneSync
	// status is what the last apply or check found; see [zoneSync.statuses].
	status  SecondaryStatus
	owed    bool
	running bool
	// covers is how many exports had ended when its last finished apply began.
	covers int
}

// handOut asks every target to have the newest version, changed or not.
func (s *zoneSync) handOut(ctx workflow.Context) {
	if s.newest.Version == 0 {
		return
	}
	//workflowcheck:ignore // the order does not matter
	maps.DeleteFunc(s.hosts, func(id string, host *hostSync) bool { // who left the roster, or was paused
		return !s.checking && !host.running && !slices.ContainsFunc(s.targets, func(target activities.Target) bool { return target.ID == id })
	})
	for _, target := range s.targets {
		host := s.hosts[target.ID]
		if host == nil {
			host = &hostSync{sync: s, status: SecondaryStatus{ID: target.ID}}
			s.hosts[target.ID] = host
		}
		host.status.Reachable = target.Reachable
		host.owed = true
		host.start(ctx)
	}
}

// start begins a coroutine for what is owed, unless one runs.
func (h *hostSync) start(ctx workflow.Context) {
	if !h.owed || h.running {
		return
	}
	h.running = true
	workflow.GoNamed(ctx, "apply on "+h.status.ID, func(ctx workflow.Context) {
		for h.owed {
			h.owed = false
			h.apply(ctx)
		}
		h.running = false
		h.sync.show(ctx)
	})
}

func (h *hostSync) apply(ctx workflow.Context) {
	newest, exports := h.sync.newest, h.sync.exportsEnded
	var result activities.ApplyZoneResult
	err := workflow.ExecuteActivity(
		onSecondary(ctx, h.status.ID, newest.Records, "apply "+newest.Zone+" on "+h.status.ID),
		secondary.ApplyZone, activities.ApplyZoneInput{Zone: newest.Zone, Version: newest.Version}).Get(ctx, &result)
	h.covers = exports
	h.status.Error = ""
	switch {
	case err != nil:
		h.failed(err)
	case result.Outcome == activities.AppliedForeign:
		h.status.State, h.status.Error = StateForeign, result.Reason
	default:
		h.status.State = StateInSync
		h.status.Version, h.status.Serial = result.Version, result.Serial
		h.status.AppliedAt, h.status.TookMS = result.AppliedAt, result.TookMS
	}
}

func (h *hostSync) failed(err error) {
	h.status.State, h.status.Error = StateLagging, failureText(err)
	var app *temporal.ApplicationError
	var timeout *temporal.TimeoutError
	switch {
	case errors.As(err, &app) && app.Type() == activities.ErrTypePaused:
		h.status.State = StatePaused
	case errors.As(err, &app) && app.Type() == activities.ErrTypeNewerApplied:
		var applied int64
		if app.Details(&applied) == nil {
			h.sync.above = max(h.sync.above, applied)
			// While the guard holds what would be exported, another export
			// finds the same.
			if h.sync.outcome != OutcomeHeld {
				h.sync.unanswered()
			}
		}
	case errors.As(err, &timeout) && app == nil:
		h.status.Error = "its worker did not answer in time; is pdns-distribute running on " + h.status.ID + "?"
	}
}

// running counts the secondaries with an apply in flight.
func (s *zoneSync) running() int {
	n := 0
	for _, host := range s.inOrder() {
		if host.running {
			n++
		}
	}
	return n
}

// handedOut says that every secondary with an apply in flight has finished one
// that began after so many exports.
func (s *zoneSync) handedOut(exports int) bool {
	return !slices.ContainsFunc(s.inOrder(), func(h *hostSync) bool { return h.running && h.covers < exports })
}

// inOrder lists the secondaries by ID: workflow code must not depend on a
// map's order.
func (s *zoneSync) inOrder() []*hostSync {
	hosts := make([]*hostSync, 0, len(s.hosts))
	//workflowcheck:ignore // the order is made below
	for _, host := range s.hosts {
		hosts = append(hosts, host)
	}
	slices.SortFunc(hosts, func(a, b *hostSync) int { return strings.Compare(a.status.ID, b.status.ID) })
	return hosts
}

// statuses says of each secondary how it is, of one with more to do that it is pending.
func (s *zoneSync) statuses() []SecondaryStatus {
	var statuses []SecondaryStatus
	for _, host := range s.inOrder() {
		status := host.status
		if host.owed || host.running {
			status.State = StatePending
		}
		statuses = append(statuses, status)
	}
	return statuses
}
