package activities

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// aheadAtOnce is how many zones are exported ahead at the same time.
	aheadAtOnce = 4
	// aheadShort is how long one of these takes its place, for each of its two steps.
	// What takes longer, of a large zone, goes on in the one place for such, since to
	// begin anew would have PowerDNS read all of it twice; it is left to the sync where
	// that is taken.
	aheadShort = 2 * time.Second
	// aheadWithin bounds the export of a large zone.
	aheadWithin = 10 * time.Minute
	// aheadWaiting is how many zones may wait for that. More than these change
	// in an import, and batches do them with less effort.
	aheadWaiting = 256
	// aheadKept is how long a finished export is remembered for the workflow
	// that asks for the same; it is there within milliseconds, or Temporal is away.
	aheadKept = 30 * time.Second
)

// Ahead exports zones of this host as soon as their change is answered, while
// NATS and Temporal still start the sync that the change asks for. It is a head
// start and nothing else: what it leaves out, or fails at, that sync does. Where
// it succeeded, [Primary.ExportZone] finds the work done.
//
// Publishing ahead of the workflow is safe since versions only grow, the
// compare-and-set keeps two exports apart, and what keeps an export from
// publishing (another primary's newer content, the guard) is in the export.
type Ahead struct {
	primary *Primary
	known   Known
	ctx     context.Context //nolint:containedctx // the process's own: a request's ends before its export does
	slots   chan struct{}
	large   chan struct{}
	// distributed are the zones whose settings need not be asked for.
	distributed distributed
	published   *published

	mu      sync.Mutex
	zones   map[string]*headStarts
	waiting int
}

// Known returns a zone's newest version as far as this host knows without asking,
// and its revision, 0 for none; false where it must be asked for. One that is older
// than the newest is found out by the compare-and-set.
type Known func(zone string) (pdns.Version, uint64, bool)

// NewAhead returns what exports zones of p ahead until ctx ends. It is to be
// made before p works. known is optional.
func NewAhead(ctx context.Context, p *Primary, known Known) *Ahead {
	if known == nil {
		known = func(string) (pdns.Version, uint64, bool) { return pdns.Version{}, 0, false }
	}
	p.ahead = &Ahead{primary: p, known: known, ctx: ctx, published: newPublished(), slots: make(chan struct{}, aheadAtOnce), large: make(chan struct{}, 1), zones: make(map[string]*headStarts)}
	return p.ahead
}

// Changed has the call's zone exported. It does not wait. Changes that come in quick
// succession share an export, as in SyncZone, which is in the first one's trace.
func (a *Ahead) Changed(call pdns.Call) {
	if len(call.RRsets) == 0 {
		a.distributed.changed(call.Zone)
	}
	if a.note(call) {
		go a.run(call.Zone)
	}
}

// Settled returns once the export ahead that covers a change has published something, or
// has ended, at once where there is none, and whether it has. What Temporal does for the
// change need not compete with it.
func (a *Ahead) Settled(ctx context.Context, zone, change string) bool {
	start := a.covering(zone, []string{change})
	if start == nil {
		return false
	}
	select {
	case <-start.published:
		return true
	case <-start.done:
		return start.err == nil && start.result.Outcome == ExportPublished
	case <-ctx.Done():
		return false
	}
}

// run exports a zone for as long as changes wait.
func (a *Ahead) run(zone string) {
	for {
		pause := a.pause(zone, a.primary.Timing.MinInterval)
		select {
		case <-time.After(pause):
		case <-a.ctx.Done():
			return
		}
		a.slots <- struct{}{}
		start := a.begin(zone)
		if start == nil {
			<-a.slots
			return
		}
		told, foretold := a.foretell(zone, start)
		if foretold && !a.awaitApplies(zone, start) {
			start.err = context.Cause(a.ctx)
			a.end(zone, start)
			return
		}
		start.result, start.err = a.export(zone, start)
		if foretold {
			start.result = a.judge(told, start)
		}
		a.primary.Metrics.exported(start.result.Outcome, start.err)
		a.end(zone, start)
	}
}

// export exports a zone, and gives the place back that its caller has taken.
func (a *Ahead) export(zone string, start *headStart) (ExportZoneResult, error) {
	ctx, cancel := context.WithTimeout(trace.Join(a.ctx, start.trace), aheadWithin)
	defer cancel()
	ended, left := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		a.holdPlace(ended, cancel)
	}()
	defer func() { close(ended); <-left }()
	return a.exportAfter(ctx, zone, start)
}

// holdPlace returns once the export has ended, and cancels it where it takes long
// and there is no place for that.
func (a *Ahead) holdPlace(ended <-chan struct{}, cancel func()) {
	select {
	case <-ended:
		<-a.slots
		return
	case <-time.After(aheadShort):
		<-a.slots
	}
	select {
	case a.large <- struct{}{}:
		<-ended
		<-a.large
	default:
		cancel()
	}
}

// exportAfter exports from the version that this host knows of. Where it publishes,
// the compare-and-set says that this was the newest; that nothing has changed since
// is said of the newest one alone, so it must have been that.
func (a *Ahead) exportAfter(ctx context.Context, zone string, start *headStart) (ExportZoneResult, error) {
	if last, revision, ok := a.known(zone); ok {
		result, err := a.exportFrom(ctx, zone, last, revision, start)
		switch {
		case errors.Is(err, pdns.ErrVersionConflict):
		case err != nil || result.Outcome != ExportUnchanged:
			return result, err
		default:
			if _, newest, err := a.primary.last(ctx, zone); err != nil || newest == result.Revision {
				return result, err
			}
		}
	}
	last, revision, err := a.primary.last(ctx, zone)
	if err != nil {
		return ExportZoneResult{}, err
	}
	return a.exportFrom(ctx, zone, last, revision, start)
}

func (a *Ahead) exportFrom(ctx context.Context, zone string, last pdns.Version, revision uint64, start *headStart) (ExportZoneResult, error) {
	if result, made := a.exportDelta(ctx, last, revision, start); made {
		return result, nil
	}
	known, proxied := a.covered(start)
	found, since := a.distributed.has(zone)
	in := ExportZoneInput{
		Zone: zone, Local: true, Primary: a.primary.ID, Taken: true, Proxied: proxied, Distributed: found, Made: known.made,
	}
	if known.before == revision { // nothing was published since PowerDNS said that
		in.Answer = known.answer
	}
	result, err := a.primary.exportOneAfter(ctx, zone, last, revision, in)
	if err == nil && (result.Outcome == ExportPublished || result.Outcome == ExportUnchanged) && !result.Version.Deleted {
		a.distributed.found(zone, since)
	}
	return result, err
}

// newest is the zone's newest version, which is at least that number unless the bucket
// was lost.
func (a *Ahead) newest(ctx context.Context, zone string, atLeast int64) (pdns.Version, uint64, error) {
	if newest, revision, ok := a.known(zone); ok && newest.Version >= atLeast {
		return newest, revision, nil
	}
	return a.primary.Versions.Newest(ctx, zone)
}

// headStart is one export ahead and the changes that it covers: those that were
// answered before it began.
type headStart struct {
	changes []string
	hints   hints
	trace   string
	proxied pdns.Proxied
	// joined are later ones that this one covers too.
	joined []*headStart
	// published is closed once a version was foretold, see [Ahead.foretell].
	published, done chan struct{}
	result          ExportZoneResult
	err             error
}

// headStarts are those of one zone: next gathers changes, begun are under way or
// finished, oldest first; only the last can be under way.
type headStarts struct {
	next    *headStart
	begun   []*headStart
	running bool
	ended   time.Time
}

// note puts a change to those that the zone's next export covers. It reports
// whether the caller has to run that export.
func (a *Ahead) note(call pdns.Call) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.zones[call.Zone]
	if (z == nil || z.next == nil) && a.waiting >= aheadWaiting {
		return false
	}
	if z == nil {
		z = &headStarts{}
		a.zones[call.Zone] = z
	}
	if z.next == nil {
		a.waiting++
		z.next = &headStart{published: make(chan struct{}), done: make(chan struct{}), trace: call.Trace}
	}
	z.next.changes = append(z.next.changes, call.ChangeID)
	if len(z.begun) > 0 {
		call.Answer = nil // it may be older than what an export has covered, or failed to
	}
	z.next.hints.add(call)
	z.next.proxied = z.next.proxied.And(pdns.ProxiedAs(call.Kind))
	run := !z.running
	z.running = true
	return run
}

// pause is how long the zone's next export has to wait.
func (a *Ahead) pause(zone string, interval time.Duration) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	return time.Until(a.zones[zone].ended.Add(interval))
}

// begin takes the changes that wait; nil where none do.
func (a *Ahead) begin(zone string) *headStart {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.zones[zone]
	start := z.next
	if start == nil {
		z.running = false
		if len(z.begun) == 0 { // forgotten while it waited
			delete(a.zones, zone)
		}
		return nil
	}
	a.waiting--
	z.next = nil
	z.begun = append(z.begun, start)
	return start
}

// end lets those go on who wait for the export, and forgets it after a while.
func (a *Ahead) end(zone string, start *headStart) {
	close(start.done)
	for _, joined := range start.joined {
		joined.result, joined.err = start.result, start.err
		close(joined.done)
	}
	a.mu.Lock()
	a.zones[zone].ended = time.Now()
	start.hints.answer = nil // it is large
	a.mu.Unlock()
	time.AfterFunc(aheadKept, func() { a.forget(zone, start) })
}

func (a *Ahead) forget(zone string, start *headStart) {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.zones[zone]
	z.begun = slices.DeleteFunc(z.begun, func(h *headStart) bool { return h == start })
	if len(z.begun) == 0 && !z.running {
		delete(a.zones, zone)
	}
}

// covering returns the export that began after every one of changes was
// answered; nil where there is none.
func (a *Ahead) covering(zone string, changes []string) *headStart {
	a.mu.Lock()
	defer a.mu.Unlock()
	z := a.zones[zone]
	if z == nil || len(changes) == 0 {
		return nil
	}
	all := z.begun
	if z.next != nil {
		all = append(slices.Clone(all), z.next)
	}
	last := -1
	for _, change := range changes {
		at := slices.IndexFunc(all, func(h *headStart) bool { return slices.Contains(h.changes, change) })
		if at < 0 {
			return nil
		}
		last = max(last, at)
	}
	return all[last]
}

// wait returns the newest version where it was exported ahead for all of
// changes; false where this zone must be looked at.
func (a *Ahead) wait(ctx context.Context, zone string, changes []string) (ExportZoneResult, bool) {
	if a == nil {
		return ExportZoneResult{}, false
	}
	start := a.covering(zone, changes)
	if start == nil {
		return ExportZoneResult{}, false
	}
	select {
	case <-start.done:
	case <-ctx.Done():
		return ExportZoneResult{}, false
	}
	done := start.err == nil && (start.result.Outcome == ExportPublished || start.result.Outcome == ExportUnchanged)
	return start.result, done
}
