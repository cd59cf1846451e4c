package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// ForeignZones lets zones that somebody else made be taken over.
type ForeignZones interface {
	Keys(ctx context.Context, zone string) ([]api.Key, error)
	MetadataKinds(ctx context.Context, zone string) ([]string, error)
	TakeOverZone(ctx context.Context, zone api.Zone, master, account string) error
}

// harmless are the kinds of metadata that bend neither transfers nor answers of a
// zone that is filled by AXFR, or that taking it over removes. PRESIGNED is set by the
// transfer; so is NSEC3PARAM, but of a zone that was not signed none is taken away.
var harmless = []string{"PRESIGNED", "SOA-EDIT", "SOA-EDIT-API", "API-RECTIFY", "NOTIFY-DNSUPDATE"}

// bends says whether a kind of metadata among these bends transfers or answers.
func bends(kind string, kinds []string) bool {
	return !slices.Contains(harmless, kind) && (kind != "NSEC3PARAM" || !slices.Contains(kinds, "PRESIGNED"))
}

// takeOver makes a foreign zone ours. It goes on answering until our content is
// there; but one with keys, which would sign that content anew, or with settings
// of its own for transfers is made anew, and not answered for a moment. missing
// says that the zone was removed for that.
func (s *Secondary) takeOver(ctx context.Context, zone api.Zone) (missing bool, err error) {
	keys, err := s.Foreign.Keys(ctx, zone.Name)
	if err != nil {
		return false, fmt.Errorf("take over: %w", err)
	}
	kinds, err := s.Foreign.MetadataKinds(ctx, zone.Name)
	if err != nil {
		return false, fmt.Errorf("take over: %w", err)
	}
	bent := slices.ContainsFunc(kinds, func(kind string) bool { return bends(kind, kinds) })
	if len(keys) == 0 && !bent {
		return false, s.Foreign.TakeOverZone(ctx, zone, s.Master, pdns.Account)
	}
	if err := s.deleteAlone(ctx, zone.Name); err != nil && !errors.Is(err, api.ErrNotFound) {
		return false, fmt.Errorf("take over: %w", err)
	}
	return true, nil
}

// adopt takes over the foreign zones that a full compare shall take over, and
// counts them no longer as foreign. Those that fail again and again are among the
// hopeless: the others must not wait for them. Doing it twice is harmless: what is
// ours already is brought.
func (s *Secondary) adopt(ctx context.Context, work *fullCompare, done *atomic.Int64) (*brought, error) {
	if len(work.adopt) == 0 {
		return &brought{}, nil
	}
	brought, _, err := s.bringAll(ctx, work.adopt, bringing{adopt: true}, done, time.Time{})
	if err == nil && activity.GetInfo(ctx).Attempt < batchAttempts {
		err = brought.failure()
	}
	brought.giveUp()
	if err == nil && len(brought.ahead) > 0 { // they are foreign still, until a newer version is there
		err = s.Exporter.ExportAbove(ctx, brought.ahead, brought.above)
	}
	if err != nil {
		return nil, fmt.Errorf("take over %d foreign zones: %w", len(work.adopt), err)
	}
	still := slices.Concat(brought.ahead, brought.hopeless)
	work.plan.Foreign = slices.DeleteFunc(work.plan.Foreign, func(zone string) bool {
		return slices.Contains(work.adopt, zone) && !slices.Contains(still, zone)
	})
	work.plan.Blocked -= brought.ours()
	work.adopt = nil
	return brought, nil
}

// ours counts the zones that are ours now and were foreign.
func (b *brought) ours() int { return b.outcomes[AppliedNow] + b.outcomes[AppliedCurrent] }

// adopts returns the foreign zones that a full compare shall take over: those that
// are asked for, or all, as far as they stand in the way of a published version.
// newest is sorted by zone.
func (in ReconcileZonesInput) adopts(foreign []string, newest []pdns.Catalogued) []string {
	if !in.AdoptAll && len(in.Adopt) == 0 {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(foreign), func(zone string) bool {
		at, listed := pdns.FindCatalogued(newest, zone)
		return !listed || newest[at].Deleted || !in.AdoptAll && !slices.Contains(in.Adopt, zone)
	})
}
