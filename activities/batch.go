package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// MaxBatch is how many zones go together: their names stand in a history once
// for each step and each secondary.
const MaxBatch = 250

const (
	// batchExportsAtOnce is how many zones of one batch are exported at the
	// same time.
	batchExportsAtOnce = 4
	// batchAttempts is how often a batch with failures is tried as a whole.
	// Zones that fail still are left to a sync of their own.
	batchAttempts = 8
)

// ZonesInput names the zones of a batch.
type ZonesInput struct {
	Zones []string `json:"zones"`
	// Changes are, for ExportZones, the IDs of the changes of each zone that
	// nothing else asks for; see ExportZoneInput.
	Changes map[string][]string `json:"changes,omitempty"`
	// Versions are, for ApplyZones, the versions that the export found or published.
	Versions map[string]int64 `json:"versions,omitempty"`
	// Above asks ExportZones for versions above this number even of what has not
	// changed.
	Above int64 `json:"above,omitempty"`
	// Force has ApplyZones transfer them whatever is known of them: what is
	// served was found to be wrong.
	Force bool `json:"force,omitempty"`
	// Proxied says what API calls through our proxies asked for, of all of them.
	Proxied pdns.Proxied `json:"proxied,omitempty"`
	// Trigger is what asks for the batch; StartSyncs hands it on.
	Trigger string `json:"trigger,omitempty"`
	// Primary and Taken are those of ExportZoneInput, for all zones.
	Primary string `json:"primary,omitempty"`
	Taken   bool   `json:"taken,omitempty"`
}

// ZonesResult counts the zones of a batch by outcome. Alone lists those that
// need a sync of their own: what is wrong with them is theirs alone to retry,
// to ask other primaries about, and to show.
type ZonesResult struct {
	Outcomes map[string]int `json:"outcomes"`
	Alone    []string       `json:"alone,omitempty"`
	// Versions are the newest versions of those that were exported.
	Versions map[string]int64 `json:"versions,omitempty"`
	// Behind lists those that may be older here than what another primary
	// published.
	Behind []ZonesBehind `json:"behind,omitempty"`
	// Primary is the one that exported.
	Primary string `json:"primary,omitempty"`
	// Reason is what was wrong with the first of Alone, or why the first one that
	// the guard holds is held.
	Reason string `json:"reason,omitempty"`
	Timing Timing `json:"timing,omitzero"`
}

// ZonesBehind are the zones that one other primary must be asked about.
type ZonesBehind struct {
	Publisher string   `json:"publisher"`
	Zones     []string `json:"zones"`
}

// batchProgress is the heartbeat of a batch.
type batchProgress struct {
	Done  int64 `json:"done"`
	Total int   `json:"total"`
}

// ExportZones publishes the newest versions of many zones. Doing it twice is
// harmless, as with ExportZone; a second attempt finds most of them unchanged.
func (p *Primary) ExportZones(ctx context.Context, in ZonesInput) (ZonesResult, error) {
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(in.Zones)} })()
	batch := batchResult{ZonesResult: ZonesResult{Outcomes: make(map[string]int), Versions: make(map[string]int64, len(in.Zones)), Primary: p.ID, Timing: p.Timing}, behind: make(map[string][]string)}
	note := func(zone string, result ExportZoneResult, err error) {
		batch.note(zone, result, err)
		p.Metrics.exported(result.Outcome, err)
	}
	var gone goneZones
	var group errgroup.Group
	group.SetLimit(batchExportsAtOnce)
	for _, zone := range in.Zones {
		group.Go(func() error {
			if ctx.Err() == nil {
				result, ahead, err := p.exportInBatch(ctx, zone, in)
				switch {
				case ahead: // and counted
					batch.note(zone, result, nil)
				case !gone.take(result, err):
					note(zone, result, err)
				}
				done.Add(1)
			}
			return nil
		})
	}
	if err := errors.Join(group.Wait(), ctx.Err()); err != nil {
		return ZonesResult{}, fmt.Errorf("export %d zones on primary %s: %w", len(in.Zones), p.ID, err)
	}
	p.deleteGone(ctx, gone.zones, ExportZoneInput{Above: in.Above, Proxied: in.Proxied}, note)
	if batch.failed > 0 && activity.GetInfo(ctx).Attempt < batchAttempts {
		return ZonesResult{}, fmt.Errorf("export %d zones on primary %s: %d failed, one of them: %s", len(in.Zones), p.ID, batch.failed, batch.Reason)
	}
	slices.Sort(batch.Alone)
	for _, publisher := range slices.Sorted(maps.Keys(batch.behind)) {
		batch.Behind = append(batch.Behind, ZonesBehind{publisher, slices.Sorted(slices.Values(batch.behind[publisher]))})
	}
	return batch.ZonesResult, nil
}

// goneZones gathers the zones of one export that no primary holds: they are
// deleted together, since the guard counts them together.
type goneZones struct {
	mu    sync.Mutex
	zones []ExportZoneResult
}

func (g *goneZones) take(result ExportZoneResult, err error) bool {
	if err != nil || result.Outcome != ExportGone || len(result.Peers) > 0 {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.zones = append(g.zones, result)
	return true
}

// exportInBatch exports one zone of a batch, unless that was done ahead.
func (p *Primary) exportInBatch(ctx context.Context, zone string, in ZonesInput) (result ExportZoneResult, ahead bool, err error) {
	one := ExportZoneInput{
		Zone: zone, Primary: in.Primary, Taken: in.Taken, Changes: in.Changes[zone], Above: in.Above, Proxied: in.Proxied,
	}
	if result, done := p.exportedAhead(ctx, zone, one); done && !result.Unproven {
		return result, true, nil
	}
	result, err = p.export(ctx, zone, one) // and proves an unproven one: nobody else will, after a batch
	return result, false, err
}

// batchResult gathers what became of the zones of one export.
type batchResult struct {
	mu sync.Mutex
	ZonesResult
	behind map[string][]string
	// failed counts the failures that are worth another try of the batch.
	failed int
}

func (b *batchResult) note(zone string, result ExportZoneResult, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err != nil:
		if !hopeless(err) {
			b.failed++
		}
		b.Outcomes[ExportFailed]++
		b.leave(zone, fmt.Sprintf("zone %s: %v", zone, err))
	case result.Outcome == ExportBehind:
		b.Outcomes[result.Outcome]++
		b.behind[result.Version.Publisher] = append(b.behind[result.Version.Publisher], zone)
	case result.Outcome == ExportGone || result.Outcome == ExportUnknown:
		b.Outcomes[result.Outcome]++
		b.leave(zone, result.Reason)
	case result.Outcome == ExportHeld:
		b.Outcomes[result.Outcome]++
		b.Reason = cmp.Or(b.Reason, result.Reason)
	default:
		b.Outcomes[result.Outcome]++
		if result.Version.Version > 0 {
			b.Versions[zone] = result.Version.Version
		}
	}
}

func (b *batchResult) leave(zone, reason string) {
	b.Alone = append(b.Alone, zone)
	if b.Reason == "" {
		b.Reason = reason
	}
}

// ApplyZones brings many zones of this secondary to their newest versions.
// Doing it twice is harmless, as with ApplyZone.
func (s *Secondary) ApplyZones(ctx context.Context, in ZonesInput) (ZonesResult, error) {
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(in.Zones)} })()
	brought, _, err := s.bringAll(ctx, in.Zones, bringing{force: in.Force, known: in.Versions}, &done, time.Time{})
	if err != nil {
		return ZonesResult{}, fmt.Errorf("apply %d zones on secondary %s: %w", len(in.Zones), s.ID, err)
	}
	failure := brought.failure()
	if failure != nil && activity.GetInfo(ctx).Attempt < batchAttempts {
		return ZonesResult{}, fmt.Errorf("apply %d zones on secondary %s: %d failed, one of them: %w", len(in.Zones), s.ID, len(brought.failed), failure)
	}
	result := ZonesResult{Outcomes: brought.outcomes, Alone: slices.Concat(brought.failed, brought.hopeless, brought.ahead)}
	slices.Sort(result.Alone)
	result.Reason = brought.reason()
	if failure != nil {
		result.Reason = failure.Error()
	}
	return result, nil
}

// VerifyZonesInput asks whether every target serves the newest versions of
// Zones.
type VerifyZonesInput struct {
	Zones   []string `json:"zones"`
	Targets []Target `json:"targets"`
	// Absent are the IDs of those whose workers have not taken the zones in time.
	Absent []string `json:"absent,omitempty"`
}

// VerifyZones asks every target by DNS, at the address the public uses, for the
// newest versions of many zones. One that is absent still is not asked: all that
// would follow is a sync for each zone, in vain, and on its return everything is
// compared. It only reads.
func (v *Verifier) VerifyZones(ctx context.Context, in VerifyZonesInput) (ZonesResult, error) {
	targets := v.present(ctx, in)
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(in.Zones)} })()
	look := verifiedBatch{Verifier: v, slots: make(chan struct{}, verifyAtOnce), ZonesResult: ZonesResult{Outcomes: make(map[string]int)}}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(verifyAtOnce)
	for _, zone := range in.Zones {
		group.Go(func() error {
			defer done.Add(1)
			if err := look.zone(ctx, zone, targets); err != nil {
				return fmt.Errorf("verify zone %s: %w", zone, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return ZonesResult{}, classify(err)
	}
	slices.Sort(look.Alone)
	return look.ZonesResult, nil
}

// present are the targets without those that are absent still. Where Consul cannot
// say who is, only asking tells.
func (v *Verifier) present(ctx context.Context, in VerifyZonesInput) []Target {
	if len(in.Absent) == 0 {
		return in.Targets
	}
	reachable, err := askPresence(ctx, v.Presence)
	if err != nil {
		return in.Targets
	}
	return slices.DeleteFunc(slices.Clone(in.Targets), func(t Target) bool { return slices.Contains(in.Absent, t.ID) && !reachable[t.ID] })
}

// verifiedBatch is one look from outside at many zones.
type verifiedBatch struct {
	*Verifier
	// slots bounds the questions in flight.
	slots  chan struct{}
	silent silentTargets

	mu sync.Mutex
	ZonesResult
}

// zone asks all targets at once.
func (b *verifiedBatch) zone(ctx context.Context, zone string, targets []Target) error {
	newest, _, err := b.Verifier.Versions.Newest(ctx, zone)
	if errors.Is(err, pdns.ErrNoVersion) {
		return nil
	}
	if err != nil {
		return err
	}
	states := make([]pdns.ServedState, len(targets))
	var asked sync.WaitGroup
	for i, target := range targets {
		asked.Go(func() { states[i] = b.state(ctx, newest, target) })
	}
	asked.Wait()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.note(zone, targets, states)
	return nil
}

func (b *verifiedBatch) state(ctx context.Context, newest pdns.Version, target Target) pdns.ServedState {
	b.slots <- struct{}{}
	defer func() { <-b.slots }()
	if b.silent.has(target.ID) {
		return pdns.ServedSilent
	}
	state := b.ask(ctx, newest, target).State
	if state == pdns.ServedSilent {
		b.silent.add(target.ID)
	}
	return state
}

func (b *verifiedBatch) note(zone string, targets []Target, states []pdns.ServedState) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := ""
	for i, state := range states {
		b.Metrics.verified(string(state))
		b.Outcomes[string(state)]++
		// A silent one is lagging; it is reconciled on its return.
		if state != pdns.ServedCurrent && state != pdns.ServedSilent {
			wrong = fmt.Sprintf("zone %s is %s on %s, asked from outside", zone, state, targets[i].ID)
		}
	}
	if wrong != "" {
		b.Alone, b.Reason = append(b.Alone, zone), wrong
	}
}

// Starter starts syncs.
type Starter interface {
	// StartSync has a zone synced for what in says of who asks (Trigger, Primary,
	// Taken, Proxied), and returns nil once Temporal has taken the request.
	StartSync(ctx context.Context, zone string, in ZonesInput) error
}

// StartSyncs has zones synced alone. Doing it twice is harmless: a running sync
// takes a second request as a signal.
func (d *Directory) StartSyncs(ctx context.Context, in ZonesInput) error {
	return startAll(ctx, in.Zones, func(zone string) error { return d.Starter.StartSync(ctx, zone, in) })
}

// startAll is an activity that has the sync of each zone started. A further attempt
// goes on where the last one ended: where Temporal is overwhelmed, asking again for
// what it has taken keeps it so.
func startAll(ctx context.Context, zones []string, start func(zone string) error) error {
	var last batchProgress
	if activity.HasHeartbeatDetails(ctx) {
		if err := activity.GetHeartbeatDetails(ctx, &last); err != nil {
			return err
		}
	}
	var done atomic.Int64
	done.Store(last.Done)
	progress := func() any { return batchProgress{done.Load(), len(zones)} }
	defer beat(ctx, progress)()
	err := startEach(ctx, zones[last.Done:], &done, start)
	if err != nil {
		activity.RecordHeartbeat(ctx, progress()) // sent with the failure
	}
	return err
}

// startEach has the sync of each zone started, and counts them in done. One that can
// never be is logged, and does not keep the others from theirs.
func startEach(ctx context.Context, zones []string, done *atomic.Int64, start func(zone string) error) error {
	for _, zone := range zones {
		switch err := start(zone); {
		case errors.Is(err, ErrNeverSynced):
			activity.GetLogger(ctx).Error("a zone is left out", "zone", zone, "error", err)
		case err != nil:
			return fmt.Errorf("start the sync of zone %s: %w", zone, err)
		}
		done.Add(1)
	}
	return nil
}
