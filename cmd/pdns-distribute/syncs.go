package main

import (
	"context"
	"slices"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// exporter has zones exported that a secondary has applied in a newer version than
// the published one. It implements [activities.Exporter].
type exporter struct{ dispatcher *dispatch.Dispatcher }

func (e exporter) ExportAbove(ctx context.Context, zones []string, above int64) error {
	for batch := range slices.Chunk(zones, workflows.MaxBatch) {
		in := workflows.SyncZonesInput{Zones: batch, Trigger: workflows.TriggerReturn, Above: above}
		if err := e.dispatcher.SyncZones(ctx, "above-"+uuid.NewString(), in); err != nil {
			return err
		}
	}
	return nil
}

// syncs lets checks start syncs through the one dispatcher. It implements
// [activities.Syncs].
type syncs struct {
	dispatcher *dispatch.Dispatcher
	client     client.Client
	// self is this primary's ID. What it has found in its own list it exports
	// first: the databases of others may lag.
	self string
}

func (s syncs) StartSync(ctx context.Context, zone, trigger string) error {
	return possible(s.dispatcher.SyncZone(ctx, workflows.SyncZoneInput{Zone: zone, Trigger: trigger, Primary: s.self},
		workflows.ZoneChange{Trigger: trigger, Primary: s.self}))
}

func (s syncs) SyncLeftOver(ctx context.Context, zone string, together int) error {
	const trigger = workflows.TriggerHealthCheck
	return possible(s.dispatcher.SyncZone(ctx, workflows.SyncZoneInput{Zone: zone, Trigger: trigger, LeftOver: true, Together: together},
		workflows.ZoneChange{Trigger: trigger, LeftOver: true, Together: together}))
}

func (s syncs) StartBatch(ctx context.Context, name string, zones []string, trigger string) error {
	return s.dispatcher.SyncZones(ctx, name, workflows.SyncZonesInput{Zones: zones, Trigger: trigger, Primary: s.self})
}

func (s syncs) SyncBatch(ctx context.Context, name string, zones []string, trigger string) (map[string]int, error) {
	err := s.dispatcher.SyncZones(ctx, name, workflows.SyncZonesInput{Zones: zones, Trigger: trigger, Primary: s.self, Unchecked: true})
	if err != nil {
		return nil, err
	}
	var result workflows.SyncZonesResult
	err = s.client.GetWorkflow(ctx, workflows.SyncZonesID(name), "").Get(ctx, &result)
	return result.Exported, err
}
