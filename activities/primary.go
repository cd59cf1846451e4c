package activities

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// Publisher is the part of the version store that a primary needs.
type Publisher interface {
	// Newest returns the newest version of a zone and its revision;
	// pdns.ErrNoVersion with revision 0 when there is none.
	Newest(ctx context.Context, zone string) (pdns.Version, uint64, error)
	// Publish writes v where the entry's revision still is revision;
	// pdns.ErrVersionConflict when it is not.
	Publish(ctx context.Context, v pdns.Version, content io.Reader, revision uint64) (uint64, error)
	// PublishDelta does the same with a version that is a delta.
	PublishDelta(ctx context.Context, v pdns.Version, revision uint64) (uint64, error)
	ContentStore
}

// ContentStore has the contents of versions.
type ContentStore interface {
	// Open returns the content of exactly v, no delta; pdns.ErrContentGone when
	// it is not kept any more.
	Open(ctx context.Context, v pdns.Version) (io.ReadCloser, error)
}

// PrimaryPowerDNS is the part of the PowerDNS API that an export asks.
type PrimaryPowerDNS interface {
	// Zone returns api.ErrNotFound when PowerDNS does not hold the zone.
	Zone(ctx context.Context, zone string) (api.Zone, error)
	// Zones returns all zones; an error means unknown, never none.
	Zones(ctx context.Context) iter.Seq2[api.Zone, error]
}

// Peers knows the other primaries.
type Peers interface {
	// OtherPrimaries returns the IDs of all other registered primaries,
	// reachable or not. An error means unknown, never none.
	OtherPrimaries(ctx context.Context) ([]string, error)
}

// Timing is how a primary's configuration wants syncs to be timed. It
// reaches workflows in an export's result, so a replay sees the same.
type Timing struct {
	// MinInterval is the least time between two exports of a zone.
	MinInterval time.Duration `json:"min_interval"`
	// EventCheckWait is the time from the first unchecked change to the
	// check from outside.
	EventCheckWait time.Duration `json:"event_check_wait"`
	// MaxLag is how long a primary's database may lag behind another's, and
	// how long an absent primary is waited for.
	MaxLag time.Duration `json:"max_lag"`
}

// Primary holds what the activities on a primary's queues need.
type Primary struct {
	// ID is this primary's ID; it stands in every version it publishes.
	ID string
	// DNSAddress is where the local PowerDNS hands out zones by AXFR.
	DNSAddress string
	PowerDNS   PrimaryPowerDNS
	// Source and Absence are asked for deltas.
	Source  RRsetSource
	Absence AbsenceAsker
	// Answers is asked for what has changed of a small zone, past the packet cache.
	// Where it is nil, each is read as a whole.
	Answers  SigningAsker
	Versions Publisher
	Peers    Peers
	// Guard is asked before a zone is deleted or shrinks.
	Guard *Guard
	// Selection says which zones are distributed.
	Selection pdns.Selection
	Timing    Timing
	// SpoolDir takes the content of large zones during an export.
	SpoolDir string
	Metrics  *PrimaryMetrics

	// ahead is nil where nothing is exported ahead, see [NewAhead].
	ahead *Ahead
}

func (p *Primary) result(outcome string) ExportZoneResult {
	return ExportZoneResult{Outcome: outcome, Primary: p.ID, Timing: p.Timing}
}

func (p *Primary) newest(outcome string, v pdns.Version, revision uint64) ExportZoneResult {
	return ExportZoneResult{
		Outcome: outcome, Primary: p.ID, Version: v.WithoutDelta(), Unproven: v.Unproven(), Revision: revision, Timing: p.Timing,
	}
}

// leavesOut says why a zone is not distributed, with an empty string that it is.
func (p *Primary) leavesOut(zone api.Zone) string {
	return p.Selection.LeavesOut(zone.Name, zone.Kind, zone.Account)
}
