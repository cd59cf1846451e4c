package main

import (
	"context"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// starter lets an activity start syncs through the one dispatcher.
type starter struct{ dispatcher *dispatch.Dispatcher }

// StartSync implements [activities.Starter].
func (s starter) StartSync(ctx context.Context, zone string, in activities.ZonesInput) error {
	return s.dispatcher.SyncZone(ctx,
		workflows.SyncZoneInput{Zone: zone, Trigger: workflows.TriggerEvent, Primary: in.Primary, Proxied: in.Proxied},
		workflows.ZoneChange{Trigger: workflows.TriggerEvent, Primary: in.Primary, Taken: in.Taken, Proxied: in.Proxied})
}

// AnnounceHold implements [activities.Announcer].
func (s starter) AnnounceHold(ctx context.Context, hold string) error {
	return s.dispatcher.AnnounceHold(ctx, hold)
}

// StartApproved implements [activities.Announcer].
func (s starter) StartApproved(ctx context.Context, batch string, zones []string) error {
	return s.dispatcher.SyncZones(ctx, batch, workflows.SyncZonesInput{Zones: zones, Trigger: workflows.TriggerApproval})
}
