package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// exportOn has the primaries of one queue export zones of the batch.
func (b *zoneBatch) exportOn(ctx workflow.Context, queue string, in activities.ZonesInput) (activities.ZonesResult, error) {
	var exported activities.ZonesResult
	err := workflow.ExecuteActivity(batching(ctx, queue, len(in.Zones), fmt.Sprintf("export %d zones", len(in.Zones))), primary.ExportZones, in).Get(ctx, &exported)
	return exported, err
}

// asking is what asks for these zones of the batch.
func (b *zoneBatch) asking(zones []string) activities.ZonesInput {
	return activities.ZonesInput{Zones: zones, Trigger: b.in.Trigger, Primary: b.in.Primary, Taken: b.in.Taken, Above: b.in.Above, Proxied: b.in.Proxied}
}

// askPublishers has the primaries whose versions contradict what the exporter
// holds export those zones, and then the exporter again: by then they usually
// agree. Else the versions stand, unless clients wait for changes: those zones
// get syncs of their own.
func (b *zoneBatch) askPublishers(ctx workflow.Context, exported activities.ZonesResult) {
	for _, behind := range exported.Behind {
		in := b.asking(behind.Zones)
		_, err := b.exportOn(ctx, PrimaryHostQueue(behind.Publisher), in)
		var again activities.ZonesResult
		if err == nil {
			again, err = b.exportOn(ctx, PrimaryHostQueue(exported.Primary), in)
		}
		if err != nil {
			b.leave(activities.ZonesResult{Alone: behind.Zones, Reason: failureText(err)})
			continue
		}
		b.result.Exported[activities.ExportBehind] -= len(behind.Zones)
		//workflowcheck:ignore // sums have no order
		for outcome, n := range again.Outcomes {
			b.result.Exported[outcome] += n
		}
		b.leave(again)
		for _, still := range again.Behind {
			if b.in.Trigger == TriggerEvent {
				b.leave(activities.ZonesResult{Alone: still.Zones, Reason: fmt.Sprintf("primary %s contradicts what primary %s published", exported.Primary, still.Publisher)})
			}
		}
	}
}

// bringAgain exports once more where another primary exported than the one that
// took the changes: its database may not have had them yet.
func (b *zoneBatch) bringAgain(ctx workflow.Context, started time.Time) error {
	if !substitute(b.in.Primary, b.exporter) {
		return nil
	}
	b.phase(ctx, "waiting for what primary "+b.in.Primary+" took to reach the others")
	if err := sleepUntil(ctx, started.Add(b.timing.MaxLag)); err != nil {
		return err
	}
	return b.bring(ctx)
}

func sleepUntil(ctx workflow.Context, t time.Time) error {
	return workflow.Sleep(ctx, max(0, t.Sub(workflow.Now(ctx))))
}
