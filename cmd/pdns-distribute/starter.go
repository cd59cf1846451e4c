package main

import (
	"context"

	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// starter lets an activity start syncs through the one dispatcher.
type starter struct{ dispatcher *dispatch.Dispatcher }

// StartSync implements [activities.Starter].
func (s starter) StartSync(ctx context.Context, zone string) error {
	return s.dispatcher.SyncZone(ctx, workflows.SyncZoneInput{Zone: zone, Trigger: workflows.TriggerEvent},
		workflows.ZoneChange{Trigger: workflows.TriggerEvent})
}
