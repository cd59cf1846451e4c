package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// continueAfter is how many signals one run takes before it continues as new,
// should the SDK not suggest it earlier. Temporal lets a run have 10,000; the
// dispatcher takes those that are refused from then on as accepted.
const continueAfter = 500

// SyncZoneResult says what a sync did and which secondary serves what. It is
// also the answer to the status query and to the sync update.
type SyncZoneResult struct {
	Zone    string `json:"zone"`
	Outcome string `json:"outcome"`
	// Phase says what a running sync is doing.
	Phase   string `json:"phase,omitempty"`
	Trigger string `json:"trigger,omitempty"`
	// Version, Serial, Deleted and Records describe the newest version.
	Version     int64  `json:"version,omitempty"`
	Serial      uint32 `json:"serial,omitempty"`
	Deleted     bool   `json:"deleted,omitempty"`
	Records     int    `json:"records,omitempty"`
	Publisher   string `json:"publisher,omitempty"`
	PublishedAt string `json:"published_at,omitempty"`
	// Changes and Exports count since the sync of this zone began; several
	// quick changes share an export.
	Changes int `json:"changes"`
	Exports int `json:"exports"`
	// Repaired counts secondaries that the check from outside found wrong.
	Repaired    int               `json:"repaired"`
	Secondaries []SecondaryStatus `json:"secondaries,omitempty"`
	// Error is the last thing that went wrong, with what to do.
	Error string `json:"error,omitempty"`
}

// SyncZoneCarried is what a continued run takes over.
type SyncZoneCarried struct {
	Newest         pdns.Version        `json:"newest,omitzero"`
	Targets        []activities.Target `json:"targets,omitempty"`
	Secondaries    []SecondaryStatus   `json:"secondaries,omitempty"`
	Timing         activities.Timing   `json:"timing"`
	UncheckedSince time.Time           `json:"unchecked_since,omitzero"`
	Primaries      primaries           `json:"primaries,omitzero"`
	Requested      bool                `json:"requested,omitempty"`
	Proxied        pdns.Proxied        `json:"proxied,omitempty"`
	Asked          pdns.Proxied        `json:"asked,omitempty"`
	Above          int64               `json:"above,omitempty"`
	Unproven       bool                `json:"unproven,omitempty"`
	Changes        int                 `json:"changes"`
	Exports        int                 `json:"exports"`
	Repaired       int                 `json:"repaired"`
	Outcome        string              `json:"outcome,omitempty"`
	Error          string              `json:"error,omitempty"`
}

// SyncZone brings one zone to every secondary: export on a primary, apply on
// all secondaries at once, and after a while a check from outside. One runs per
// zone; changes that arrive meanwhile are taken as signals and share exports.
func SyncZone(ctx workflow.Context, in SyncZoneInput) (SyncZoneResult, error) {
	sync, err := newZoneSync(ctx, in)
	if err != nil {
		return SyncZoneResult{}, err
	}
	return sync.run(ctx)
}

// zoneSync is the state of one run. Its coroutines share it: Temporal runs one
// at a time.
type zoneSync struct {
	in      SyncZoneInput
	changes workflow.ReceiveChannel

	// requested says that an export is owed; primaries, who should do it.
	requested bool
	primaries primaries
	// named are the IDs of the changes that ask for it; anyAsks that something
	// else asks too, so that they do not say all.
	named   []string
	anyAsks bool
	// proxied is what API calls have asked for that no export has answered yet.
	proxied pdns.Proxied
	// asked is what they asked of the export under way, or of the last one.
	asked pdns.Proxied
	// above is the version that the next export must exceed.
	above int64
	// exportsBegun and exportsEnded number the exports of this run.
	exportsBegun, exportsEnded int
	nextExport                 time.Time
	retryAt                    time.Time

	newest pdns.Version
	// unproven says that nobody has read the whole zone since newest: another
	// export is owed before the check from outside. provenAt is the version for
	// which it was asked for already.
	unproven bool
	provenAt int64

	targets []activities.Target
	hosts   map[string]*hostSync
	timing  activities.Timing

	// uncheckedSince is the first change that no check from outside has
	// covered; it sets the deadline.
	uncheckedSince time.Time
	timerFor       time.Time
	checkDue       bool
	checking       bool

	signals   int
	counts    SyncZoneCarried
	outcome   string
	phase     string
	lastError string
}

func newZoneSync(ctx workflow.Context, in SyncZoneInput) (*zoneSync, error) {
	zone, err := pdns.CanonicalZone(in.Zone)
	if err != nil {
		return nil, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf(`SyncZone needs {"zone":"example.org."}: %v`, err), activities.ErrTypeBadInput, err)
	}
	in.Zone = zone
	if in.Trigger == "" {
		in.Trigger = TriggerManual
	}
	s := &zoneSync{
		in: in, changes: workflow.GetSignalChannel(ctx, SignalZoneChanged),
		hosts: make(map[string]*hostSync), proxied: in.Proxied, requested: true, phase: "starting",
	}
	// Who starts a sync by hand means a change that no event tells of.
	s.anyAsks = in.Trigger != TriggerEvent
	if in.Carried != nil {
		s.resume(*in.Carried)
	} else {
		s.uncheckedSince = workflow.Now(ctx)
		s.primaries.changed(ctx, in.Primary, false)
	}
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (SyncZoneResult, error) { return s.result(), nil }); err != nil {
		return nil, err
	}
	if err := workflow.SetUpdateHandler(ctx, UpdateSync, s.sync); err != nil {
		return nil, err
	}
	return s, s.announce(ctx)
}

// resume takes over what the run before had; its unfinished applies begin anew.
func (s *zoneSync) resume(c SyncZoneCarried) {
	s.counts, s.requested, s.anyAsks = c, c.Requested, c.Requested
	s.newest, s.targets, s.timing = c.Newest, c.Targets, c.Timing
	s.uncheckedSince, s.primaries, s.lastError, s.proxied = c.UncheckedSince, c.Primaries, c.Error, c.Proxied
	s.unproven, s.outcome, s.asked, s.above = c.Unproven, c.Outcome, c.Asked, c.Above
	for _, status := range c.Secondaries {
		s.hosts[status.ID] = &hostSync{sync: s, status: status, owed: status.State == StatePending}
	}
}

// announce gives a workflow that was started by hand the search attributes that
// the dispatcher gives to others.
func (s *zoneSync) announce(ctx workflow.Context) error {
	if _, there := workflow.GetTypedSearchAttributes(ctx).GetKeywordList(zoneAttribute); there {
		return nil
	}
	return workflow.UpsertTypedSearchAttributes(ctx,
		zoneAttribute.ValueSet([]string{s.in.Zone}), triggerAttribute.ValueSet(s.in.Trigger))
}

// run is the loop: take changes, export, hand out, check, and end once nothing
// is left to do.
func (s *zoneSync) run(ctx workflow.Context) (SyncZoneResult, error) {
	for _, host := range s.inOrder() {
		host.start(ctx)
	}
	for {
		s.drain(ctx)
		s.armCheck(ctx)
		switch {
		case s.shallContinue(ctx) && workflow.AllHandlersFinished(ctx):
			return SyncZoneResult{}, s.continueAsNew(ctx)
		case s.requested && !s.tooSoon(ctx):
			s.export(ctx)
			s.handOut(ctx)
		case (s.checkDue && !s.checking || s.idle(ctx)) && s.owesProof():
			s.prove()
		case s.checkDue && !s.checking:
			s.check(ctx)
		case s.idle(ctx):
			return s.finish(ctx)
		default:
			if err := s.await(ctx); err != nil {
				return SyncZoneResult{}, err
			}
		}
		s.show(ctx)
	}
}

// drain takes every change that has arrived. It runs before an export is
// scheduled and never after one returned: what arrives during an export
// gets another one.
func (s *zoneSync) drain(ctx workflow.Context) {
	for {
		var change ZoneChange
		if !s.changes.ReceiveAsync(&change) {
			return
		}
		s.signals++
		s.want(ctx, change)
	}
}

// want notes one change. The start of a workflow and its first signal are one
// request: both ask for the same export.
func (s *zoneSync) want(ctx workflow.Context, change ZoneChange) {
	s.requested = true
	if change.ChangeID != "" && len(s.named) < continueAfter {
		s.named = append(s.named, change.ChangeID)
	} else {
		s.anyAsks = true
	}
	s.retryAt = time.Time{}
	s.counts.Changes++
	s.proxied = s.proxied.And(change.Proxied)
	s.primaries.changed(ctx, change.Primary, change.Taken)
	s.in.LeftOver = s.in.LeftOver || change.LeftOver
	s.in.Together = max(s.in.Together, change.Together)
	if s.uncheckedSince.IsZero() {
		s.uncheckedSince = workflow.Now(ctx)
	}
}

// request asks for an export that no change asks for.
func (s *zoneSync) request() { s.requested, s.anyAsks = true, true }

// unanswered asks for an export once more, with what API calls asked of the one
// that settled nothing, or whose version is lost.
func (s *zoneSync) unanswered() {
	s.proxied = s.asked.And(s.proxied)
	s.request()
}

// asking takes the IDs of the changes that ask for the export that begins now;
// none where something else asks too.
func (s *zoneSync) asking() []string {
	named := s.named
	if s.anyAsks {
		named = nil
	}
	s.named, s.anyAsks = nil, false
	return named
}

// tooSoon says whether the next export must wait so long that a timer is right;
// what arrives meanwhile shares it.
func (s *zoneSync) tooSoon(ctx workflow.Context) bool {
	return s.pause(ctx) > shortestTimer
}

// pause is how long the next export must still wait.
func (s *zoneSync) pause(ctx workflow.Context) time.Duration {
	return max(0, s.exportAt().Sub(workflow.Now(ctx)))
}

func (s *zoneSync) exportAt() time.Time {
	if s.retryAt.After(s.nextExport) {
		return s.retryAt
	}
	return s.nextExport
}

// await sleeps until something is to be done.
func (s *zoneSync) await(ctx workflow.Context) error {
	due := func() bool { return s.checkDue && !s.checking }
	if !s.requested {
		s.phase = "waiting"
		return workflow.Await(ctx, func() bool {
			return s.changes.Len() > 0 || s.requested || due() || s.idle(ctx)
		})
	}
	s.phase = "waiting to export"
	_, err := workflow.AwaitWithTimeout(ctx, s.pause(ctx), func() bool {
		// Only a long wait is cut short by a change.
		return due() || s.retryAt.After(s.nextExport) && s.changes.Len() > 0 || s.retryAt.IsZero() && !s.tooSoon(ctx)
	})
	return err
}

// idle says that nothing is running, owed or unchecked.
func (s *zoneSync) idle(ctx workflow.Context) bool {
	return !s.requested && s.uncheckedSince.IsZero() && !s.checking && s.changes.Len() == 0 &&
		s.running() == 0 && workflow.AllHandlersFinished(ctx)
}

func (s *zoneSync) shallContinue(ctx workflow.Context) bool {
	return s.signals >= continueAfter || workflow.GetInfo(ctx).GetContinueAsNewSuggested()
}

// continueAsNew hands all state to a fresh run. Applies in flight are cancelled
// with this run and begun again by the next; the zone's lock on the secondary
// keeps them apart. So is a check from outside that is under way. A run with many
// signals may have been refused more since its last export: another is owed.
func (s *zoneSync) continueAsNew(ctx workflow.Context) error {
	in := s.in
	carried := s.counts
	carried.Newest, carried.Targets, carried.Timing = s.newest, s.targets, s.timing
	carried.UncheckedSince, carried.Requested, carried.Error = s.uncheckedSince, s.requested || s.signals >= continueAfter, s.lastError
	carried.Secondaries, carried.Primaries, carried.Proxied = s.statuses(), s.primaries, s.proxied
	carried.Unproven, carried.Outcome, carried.Asked, carried.Above = s.unproven, s.outcome, s.asked, s.above
	if s.checking && carried.UncheckedSince.IsZero() {
		carried.UncheckedSince = workflow.Now(ctx)
	}
	in.Primary, in.Carried = s.primaries.Taker, &carried
	return workflow.NewContinueAsNewError(ctx, SyncZone, in)
}

// sync is the update handler: it asks for an export and answers once every
// secondary serves it or is lagging. It does not wait for what changes meanwhile:
// in a zone that changes all the time one that is absent never has nothing to do,
// and a run with a handler cannot continue as new.
func (s *zoneSync) sync(ctx workflow.Context, change ZoneChange) (SyncZoneResult, error) {
	owed := s.exportsBegun + 1
	s.want(ctx, change)
	err := workflow.Await(ctx, func() bool { return s.exportsEnded >= owed && s.handedOut(owed) })
	return s.settled(), err
}

func (s *zoneSync) finish(ctx workflow.Context) (SyncZoneResult, error) {
	s.phase = ""
	result := s.result()
	workflow.SetCurrentDetails(ctx, result.Markdown())
	err := workflow.UpsertTypedSearchAttributes(ctx, outcomeAttribute.ValueSet(result.Outcome))
	return result, err
}
