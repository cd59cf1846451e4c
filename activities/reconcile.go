package activities

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// namesShown bounds the zone names that a result carries.
const namesShown = 20

// ReconcileZonesInput is empty today.
type ReconcileZonesInput struct{}

// ReconcileZonesResult counts what a full compare of one secondary found.
type ReconcileZonesResult struct {
	Zones   int `json:"zones"`
	Current int `json:"current"`
	Applied int `json:"applied"`
	Deleted int `json:"deleted"`
	// Foreign and Unknown count zones that were left alone; the names are
	// the first few.
	Foreign      int      `json:"foreign"`
	ForeignZones []string `json:"foreign_zones,omitempty"`
	// Blocked counts the foreign zones in the way of a published version.
	Blocked      int      `json:"blocked"`
	Unknown      int      `json:"unknown"`
	UnknownZones []string `json:"unknown_zones,omitempty"`
	// Ahead counts zones whose applied version is above the newest
	// published one: they wait for a fresh export.
	Ahead      int      `json:"ahead"`
	AheadZones []string `json:"ahead_zones,omitempty"`
	// Failed counts zones that this secondary can never hold as things are;
	// Reason is what was wrong with the first of them.
	Failed      int      `json:"failed,omitempty"`
	FailedZones []string `json:"failed_zones,omitempty"`
	Reason      string   `json:"reason,omitempty"`
}

// ReconcileProgress is the heartbeat of a reconcile.
type ReconcileProgress struct {
	Done  int64 `json:"done"`
	Total int   `json:"total"`
}

// ReconcileZones compares all zones of this secondary with the newest versions
// and brings those that differ. It is resumable since a second attempt
// compares anew and finds less to do.
func (s *Secondary) ReconcileZones(ctx context.Context, _ ReconcileZonesInput) (ReconcileZonesResult, error) {
	var done atomic.Int64
	var total atomic.Int64
	defer beat(ctx, func() any { return ReconcileProgress{Done: done.Load(), Total: int(total.Load())} })()
	plan, zones, err := s.plan(ctx)
	if err != nil {
		return ReconcileZonesResult{}, classify(fmt.Errorf("reconcile secondary %s: %w", s.ID, err))
	}
	todo := append(append([]string{}, plan.Apply...), plan.Delete...)
	total.Store(int64(len(todo)))

	brought, err := s.bringAll(ctx, todo, &done)
	if err != nil {
		return ReconcileZonesResult{}, fmt.Errorf("reconcile secondary %s after %d of %d zones: %w", s.ID, done.Load(), len(todo), err)
	}
	if err := brought.failure(); err != nil {
		// Retryable whatever the first failure was: the next attempt has only
		// the failed zones left.
		return ReconcileZonesResult{}, fmt.Errorf("reconcile secondary %s: %d of %d zones failed, the first: %w", s.ID, len(brought.failed), len(todo), err)
	}
	return ReconcileZonesResult{
		Zones: zones, Current: plan.Current, Applied: len(plan.Apply) - len(brought.ahead) - len(brought.hopeless), Deleted: len(plan.Delete),
		Foreign: len(plan.Foreign), ForeignZones: first(plan.Foreign), Blocked: plan.Blocked,
		Unknown: len(plan.Unknown), UnknownZones: first(plan.Unknown),
		Ahead: len(brought.ahead), AheadZones: first(brought.ahead),
		Failed: len(brought.hopeless), FailedZones: first(brought.hopeless), Reason: brought.reason(),
	}, nil
}

// plan reads all three sides completely before anything is decided.
func (s *Secondary) plan(ctx context.Context) (pdns.Plan, int, error) {
	var newest []pdns.Version
	for v, err := range s.Versions.All(ctx) {
		if err != nil {
			return pdns.Plan{}, 0, fmt.Errorf("list the newest versions: %w", err)
		}
		newest = append(newest, v)
	}
	zones, err := s.PowerDNS.Zones(ctx)
	if err != nil {
		return pdns.Plan{}, 0, fmt.Errorf("list the zones of the local PowerDNS: %w", err)
	}
	held := make([]pdns.Held, len(zones))
	for i, zone := range zones {
		held[i] = pdns.Held{Zone: zone.Name, Serial: zone.Serial, Ours: zone.OwnedBy(pdns.Account, s.Master)}
	}
	applied, err := s.Applied.All()
	if err != nil {
		return pdns.Plan{}, 0, err
	}
	return pdns.PlanReconcile(newest, held, applied), len(newest), nil
}

func first(zones []string) []string {
	return zones[:min(len(zones), namesShown)]
}
