package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

// Cost is what one process uses of a core.
type Cost struct {
	Process string `json:"process"`
	// Change is the CPU time that one change takes, in milliseconds, its check after 20 s included.
	Change float64 `json:"change_ms"`
	// Idle is what the process uses when nothing changes, in milliseconds a second.
	Idle float64 `json:"idle_ms_per_s"`
}

// Octets are what goes between one secondary and one server, TLS included.
type Octets struct {
	Secondary string `json:"secondary"`
	Server    string `json:"server"`
	// Sent goes to the server, Received comes from it, for one change of a small zone.
	Sent     float64 `json:"sent_per_change"`
	Received float64 `json:"received_per_change"`
	// Idle goes both ways when nothing changes.
	Idle float64 `json:"idle_per_second"`
}

// cost measures what changes of one zone, made at leisure, cost: beyond what the system uses when idle.
func (b *bench) cost(ctx context.Context) error {
	product, label := b.all[0], "cost"
	if err := b.moveAway(ctx); err != nil { // only there octets can be counted
		return err
	}
	if err := b.zones(ctx, label, []*way{product}); err != nil {
		return err
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	idle, err := b.using(ctx, func() error { <-time.After(b.Idle); return nil })
	if err != nil {
		return err
	}
	began := time.Now()
	busy, err := b.using(ctx, func() error {
		tick := time.NewTicker(pace)
		defer tick.Stop()
		for i := range b.Changes {
			<-tick.C
			if _, err := b.change(ctx, product, product.zone(label), i+1); err != nil {
				return err
			}
		}
		return b.quiet(ctx) // the last check too
	})
	if err != nil {
		return err
	}
	b.note(idle, busy)
	events, err := b.events(ctx, product.zone(label), began)
	if err != nil {
		return err
	}
	n := float64(b.Changes)
	b.add(samples{productName: {busy.exports / n}}.row("exports a change", "exports"))
	b.add(samples{productName: {float64(events) / n}}.row("history events a change", "events"))
	return nil
}

// use is what was used in some time.
type use struct {
	took           time.Duration
	cpu            map[string]time.Duration // by process
	sent, received []int64                  // by detour
	exports        float64
}

// using is what is used while do runs.
func (b *bench) using(ctx context.Context, do func() error) (use, error) {
	before, err := b.used(ctx)
	if err != nil {
		return use{}, err
	}
	began := time.Now()
	if err := do(); err != nil {
		return use{}, err
	}
	after, err := b.used(ctx)
	after.took = time.Since(began)
	after.exports -= before.exports
	for name := range after.cpu {
		after.cpu[name] -= before.cpu[name]
	}
	for i := range after.sent {
		after.sent[i] -= before.sent[i]
		after.received[i] -= before.received[i]
	}
	return after, err
}

// used is what was used so far.
func (b *bench) used(ctx context.Context) (u use, err error) {
	for _, d := range b.detours {
		sent, received := d.Octets()
		u.sent, u.received = append(u.sent, sent), append(u.received, received)
	}
	if u.exports, err = b.exports(ctx); err != nil {
		return u, err
	}
	u.cpu, err = b.cpu()
	return u, err
}

// note takes what the changes used, without what an idle system would have, into the result.
func (b *bench) note(idle, busy use) {
	seconds, n := idle.took.Seconds(), float64(b.Changes)
	perChange := func(busyUse, idleUse float64) float64 {
		return round((busyUse - idleUse/seconds*busy.took.Seconds()) / n)
	}
	for _, name := range b.sys.Names() {
		b.result.Costs = append(b.result.Costs, Cost{
			Process: name, Idle: round(milliseconds(idle.cpu[name]) / seconds),
			Change: perChange(milliseconds(busy.cpu[name]), milliseconds(idle.cpu[name])),
		})
	}
	for i, d := range b.detours {
		b.result.Octets = append(b.result.Octets, Octets{
			Secondary: d.secondary, Server: d.server, Idle: round(float64(idle.sent[i]+idle.received[i]) / seconds),
			Sent:     perChange(float64(busy.sent[i]), float64(idle.sent[i])),
			Received: perChange(float64(busy.received[i]), float64(idle.received[i])),
		})
	}
}

// quiet waits until no sync and no reconcile is under way.
func (b *bench) quiet(ctx context.Context) error {
	const syncs = `ExecutionStatus = 'Running' AND WorkflowType IN ('SyncZone', 'SyncZones', 'ReconcileSecondary')`
	ctx, cancel := context.WithTimeoutCause(ctx, awaitTimeout, fmt.Errorf("still syncing after %s", awaitTimeout))
	defer cancel()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	for {
		count, err := b.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: syncs})
		if err == nil && count.Count == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// events counts those in the histories of the zone's syncs since began. They must have ended.
func (b *bench) events(ctx context.Context, zone string, began time.Time) (int64, error) {
	list, err := b.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Query: fmt.Sprintf("WorkflowId = 'sync-zone/%s' AND StartTime >= '%s'", zone, began.UTC().Format(time.RFC3339Nano)),
	})
	if err != nil {
		return 0, err
	}
	var events int64
	for _, run := range list.Executions {
		events += run.HistoryLength
	}
	return events, nil
}
