package activities

import (
	"context"
	"fmt"
	"io"
	"iter"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// Subscriber is the part of the version store that a secondary reads.
type Subscriber interface {
	// Fetch returns the newest version with its content, nil where that lies
	// elsewhere; pdns.ErrNoVersion when nothing was ever published.
	Fetch(ctx context.Context, zone string) (v pdns.Version, content []byte, err error)
	// Open returns the content of exactly v; pdns.ErrContentGone when a newer
	// version replaced it.
	Open(ctx context.Context, v pdns.Version) (io.ReadCloser, error)
	// All yields every newest version; an error ends it and means unknown.
	All(ctx context.Context) iter.Seq2[pdns.Version, error]
}

// SecondaryPowerDNS is the part of the PowerDNS API that applying needs.
type SecondaryPowerDNS interface {
	Zone(ctx context.Context, zone string) (api.Zone, error)
	Zones(ctx context.Context) iter.Seq2[api.Zone, error]
	CreateSecondaryZone(ctx context.Context, zone, master, account string) error
	// CreateFilledZone fails where the zone exists, and makes nothing then. hollow
	// says that the zone has empty non-terminals.
	CreateFilledZone(ctx context.Context, zone, master, account, text string, hollow bool) error
	DeleteZone(ctx context.Context, zone string) error
	RetrieveZone(ctx context.Context, zone string) error
	FlushCache(ctx context.Context, zone string) error
	// Queries counts the queries that PowerDNS has got since its start.
	Queries(ctx context.Context) (uint64, error)
}

// RRsetChanger is the part of the PowerDNS API that applying a delta needs.
type RRsetChanger interface {
	// RRsets returns the zone and its RRsets at one name.
	RRsets(ctx context.Context, zone, name string) (api.Zone, []pdns.RRset, error)
	// Patch replaces or removes RRsets, all or none of them.
	Patch(ctx context.Context, zone string, sets []pdns.RRset) error
	// LeaveUnrectified has Patch change nothing but what it is told.
	LeaveUnrectified(ctx context.Context, zone string) error
}

// AppliedState remembers what this secondary was seen to serve.
type AppliedState interface {
	Get(zone string) (pdns.Applied, bool, error)
	Set(pdns.Applied) error
	Delete(zone string) error
	All() ([]pdns.AppliedBrief, error)
}

// Secondary holds what the activities on one secondary's queue need.
type Secondary struct {
	ID string
	// DNSAddress is where the local PowerDNS answers.
	DNSAddress string
	// Master is the transfer server's address as zones name it.
	Master   string
	PowerDNS SecondaryPowerDNS
	// Changer and Absence are needed for deltas. Where they are nil, each is
	// applied in full.
	Changer RRsetChanger
	Absence AbsenceAsker
	// Foreign takes over zones that somebody else made.
	Foreign ForeignZones
	// DNS asks past PowerDNS's packet cache: an answer that was begun from the old
	// content may stay there, and the question whether the new one is served would
	// get it again and again.
	DNS      Asker
	Transfer *transfer.Server
	Versions Subscriber
	Applied  AppliedState
	// Gate is closed while this secondary is paused.
	Gate *Gate
	// Catalogues are what checks compare with.
	Catalogues CatalogueReader
	// Exporter is asked where this secondary has applied more than is published.
	Exporter Exporter
	// Signing asks the local PowerDNS how it signs.
	Signing SigningAsker
	// Now is the clock by which signatures are judged, and what was found ages; nil
	// means the host's.
	Now     func() time.Time
	Metrics *SecondaryMetrics

	zones    zoneLocks
	storing  storing
	underWay places // of batches and full compares
	turns    places // of those that are under way
	flushes  flushes
	patching patching
	ours     ours
	full     atomic.Pointer[fullCompare]
}

// What an apply did; ApplyZoneResult.Outcome.
const (
	// AppliedNow: the newest version was transferred and is served.
	AppliedNow = "applied"
	// AppliedCurrent: the newest version was served already.
	AppliedCurrent = "current"
	// AppliedDelete: the zone is gone from the primary and is no longer served.
	AppliedDelete = "deleted"
	// AppliedForeign: a zone of this name exists that is not ours; untouched.
	AppliedForeign = "foreign"
	// AppliedPaused: this secondary is paused; only counts of zones say so.
	AppliedPaused = "paused"
	// AppliedNone: nothing was ever published for this zone.
	AppliedNone = "none"
)

// staleAttempts is how often an older answer of NATS is taken for one of a leader that
// was cut off, for a second and a half, before what is newer is taken for lost.
const staleAttempts = 5

// ApplyZoneInput asks that a zone be brought to its newest version.
type ApplyZoneInput struct {
	Zone string `json:"zone"`
	// Version is the version that the caller knows of. The newest published
	// one is applied in any case; an older one is an error.
	Version int64 `json:"version,omitempty"`
}

// ApplyZoneResult says what the secondary serves now.
type ApplyZoneResult struct {
	Outcome   string    `json:"outcome"`
	Version   int64     `json:"version,omitempty"`
	Serial    uint32    `json:"serial,omitempty"`
	AppliedAt time.Time `json:"applied_at,omitzero"`
	// TookMS is how long it took, in milliseconds.
	TookMS int64 `json:"took_ms"`
	// Reason says in words what an operator should know.
	Reason string `json:"reason,omitempty"`
}

// fallsShort says that NATS showed less than had been published already.
func (r ApplyZoneResult) fallsShort(published int64) bool {
	return r.Version < published && r.Outcome != AppliedForeign
}

// ApplyZone brings one zone of this secondary to its newest version and
// returns once PowerDNS was seen to serve it.
//
// Doing it twice, late or beside another one is harmless: it asks for the newest
// version itself, and finds nothing to do when that is served. It never goes back:
// with no answer from NATS it fails.
func (s *Secondary) ApplyZone(ctx context.Context, in ApplyZoneInput) (ApplyZoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	started := time.Now()
	result, err := s.bringToNewest(ctx, in.Zone, bringing{})
	if err == nil && result.fallsShort(in.Version) {
		err = versionLost(in.Zone, result.Version, in.Version, activity.GetInfo(ctx).Attempt < staleAttempts)
	}
	took := time.Since(started)
	if err != nil {
		s.Metrics.observed("failed", took.Seconds())
		return ApplyZoneResult{}, classify(fmt.Errorf("apply zone %s on secondary %s: %w", in.Zone, s.ID, err))
	}
	s.Metrics.observed(result.Outcome, took.Seconds())
	result.TookMS = took.Milliseconds()
	return result, nil
}

// now is the time by Now.
func (s *Secondary) now() time.Time {
	if s.Now != nil {
		return s.Now()
	}
	return time.Now()
}
