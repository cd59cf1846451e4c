package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// starter lets an activity start syncs through the one dispatcher.
type starter struct{ dispatcher *dispatch.Dispatcher }

// StartSync implements [activities.Starter].
func (s starter) StartSync(ctx context.Context, zone string, in activities.ZonesInput) error {
	trigger := cmp.Or(in.Trigger, workflows.TriggerEvent) // a batch begun by an older version tells none
	return possible(s.dispatcher.SyncZone(ctx,
		workflows.SyncZoneInput{Zone: zone, Trigger: trigger, Primary: in.Primary, Proxied: in.Proxied},
		workflows.ZoneChange{Trigger: trigger, Primary: in.Primary, Taken: in.Taken, Proxied: in.Proxied}))
}

// AnnounceHold implements [activities.Announcer].
func (s starter) AnnounceHold(ctx context.Context, hold string) error {
	return s.dispatcher.AnnounceHold(ctx, hold)
}

// StartApproved implements [activities.Announcer].
func (s starter) StartApproved(ctx context.Context, batch string, zones []string) error {
	return s.dispatcher.SyncZones(ctx, batch, workflows.SyncZonesInput{Zones: zones, Trigger: workflows.TriggerApproval})
}

// possible tells activities which syncs can never be started.
func possible(err error) error {
	if errors.Is(err, dispatch.ErrImpossible) {
		return fmt.Errorf("%w: %w", activities.ErrNeverSynced, err)
	}
	return err
}
