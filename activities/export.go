package activities

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// LocalRecords is the size, in records, up to which a zone is exported as
// a local activity: a larger one would block its workflow task for too long.
const LocalRecords = 20_000

// What an export found; ExportResult.Outcome.
const (
	// ExportPublished: a new version was published.
	ExportPublished = "published"
	// ExportUnchanged: the newest version says the same as PowerDNS.
	ExportUnchanged = "unchanged"
	// ExportElsewhere: this worker should not do it; another queue must.
	ExportElsewhere = "elsewhere"
	// ExportBehind: another primary published something else, which may be
	// newer: this one's database may lag. That primary must be asked.
	ExportBehind = "behind"
	// ExportGone: the zone is gone here, but other primaries must be asked
	// before a tombstone is published.
	ExportGone = "gone"
	// ExportUnknown: no primary holds the zone and nothing was ever published.
	ExportUnknown = "unknown"
	// ExportFailed: the export failed, as batches and metrics count it.
	ExportFailed = "failed"
	// ExportSkipped: the zone is not distributed.
	ExportSkipped = "skipped"
	// ExportHeld: the guard keeps the change from publication until a person
	// approves it; what was published before stays the newest version.
	ExportHeld = "held"
)

// ExportZoneInput asks for the newest version of a zone.
type ExportZoneInput struct {
	Zone string `json:"zone"`
	// Primary is the primary that shall export; empty for any.
	Primary string `json:"primary,omitempty"`
	// Taken says that Primary has just taken a change of the zone.
	Taken bool `json:"taken,omitempty"`
	// Overrule is a primary that has been absent for MaxLag: what it
	// published may be replaced by what this one holds.
	Overrule string `json:"overrule,omitempty"`
	// Local says that the export runs as a local activity, where it must
	// be short and where Primary may be another host.
	Local bool `json:"local,omitempty"`
	// Above asks for a version above this number even if nothing changed.
	Above int64 `json:"above,omitempty"`
	// LeftOver says that a secondary holds the zone: it may be gone although
	// nothing of it is published. Together is how many such zones there are: the
	// guard counts them all, whichever is asked about first.
	LeftOver bool `json:"left_over,omitempty"`
	Together int  `json:"together,omitempty"`
	// Proxied says what API calls through our proxies asked for.
	Proxied pdns.Proxied `json:"proxied,omitempty"`
	// Pause is how long to wait before anything is looked at, at most a
	// second or so: what changes meanwhile shares this export.
	Pause time.Duration `json:"pause,omitempty"`
	// Distributed says that the zone is known to be distributed: since it was found
	// to be, nothing but records has changed. It never leaves this process.
	Distributed bool `json:"-"`
	// Made is what the zone is known to have just been made with; zero where
	// anything else may have been done to it.
	Made pdns.Settings `json:"made,omitzero"`
	// Answer is what PowerDNS has answered to that, since the newest version was read;
	// nil where it is not known. It never leaves this process.
	Answer []byte `json:"-"`
	// Changes are the IDs of all changes that ask for this export; empty where
	// something else asks too. Where this primary has exported the zone after
	// each of them already (see [Ahead]), it is not looked at again.
	Changes []string `json:"changes,omitempty"`
}

// mayBeLeftOver says that secondaries may hold the zone although nothing of it is
// published: NATS may have lost that. Who deletes a zone wants it gone everywhere.
func (in ExportZoneInput) mayBeLeftOver() bool {
	return in.LeftOver || in.Above > 0 || in.Proxied == pdns.ProxiedDelete
}

// ExportZoneResult is the newest version of a zone, changed or not.
type ExportZoneResult struct {
	Outcome string `json:"outcome"`
	// Primary is the one that looked.
	Primary string `json:"primary,omitempty"`
	// Version is the newest version; zero where Outcome says there is none.
	Version pdns.Version `json:"version,omitzero"`
	// Revision is the entry's revision that was read before the zone was
	// looked at. A tombstone must be published against it.
	Revision uint64 `json:"revision,omitempty"`
	// Peers are the other primaries to ask where Outcome is ExportGone.
	Peers []string `json:"peers,omitempty"`
	// Unproven says that nobody has read the whole zone since Version: another
	// export is to follow soon.
	Unproven bool `json:"unproven,omitempty"`
	// Reason says in words what an operator should know.
	Reason string `json:"reason,omitempty"`
	Timing Timing `json:"timing"`
}

// ExportZone returns the newest version of a zone, after publishing what the
// local PowerDNS holds where that differs.
//
// Doing it twice is harmless: what is already published is found unchanged. The
// entry's revision is read before PowerDNS is asked, so an export that stalled
// while another one published loses the compare-and-set and reads again; it
// never re-publishes what it had read.
func (p *Primary) ExportZone(ctx context.Context, in ExportZoneInput) (ExportZoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	zone, err := pdns.CanonicalZone(in.Zone)
	if err != nil {
		return ExportZoneResult{}, badInput("export zone: %w", err)
	}
	if in.Local && in.Primary != "" && in.Primary != p.ID {
		return p.result(ExportElsewhere), nil
	}
	select {
	case <-time.After(in.Pause):
	case <-ctx.Done():
		return ExportZoneResult{}, fmt.Errorf("export zone %s on primary %s: before it began: %w", zone, p.ID, ctx.Err())
	}
	if result, done := p.exportedAhead(ctx, zone, in); done {
		return result, nil
	}
	result, err := p.exportOne(ctx, zone, in)
	p.Metrics.exported(result.Outcome, err)
	if err != nil {
		return ExportZoneResult{}, classify(fmt.Errorf("export zone %s on primary %s: %w", zone, p.ID, err))
	}
	return result, nil
}

// exportedAhead returns the newest version where an export ahead has seen all
// that is asked for.
func (p *Primary) exportedAhead(ctx context.Context, zone string, in ExportZoneInput) (ExportZoneResult, bool) {
	if in.Above > 0 {
		return ExportZoneResult{}, false
	}
	found, done := p.ahead.wait(ctx, zone, in.Changes)
	if !done {
		return ExportZoneResult{}, false
	}
	newest, revision, err := p.ahead.newest(ctx, zone, found.Version.Version)
	switch {
	case err != nil || newest.Version < found.Version.Version:
		return ExportZoneResult{}, false // the bucket was lost meanwhile
	case found.Outcome == ExportUnchanged && newest.Version != found.Version.Version:
		// It wrote nothing, so nothing kept an export that began before the change, and
		// stalled, from publishing what it had read.
		return ExportZoneResult{}, false
	}
	return p.newest(found.Outcome, newest, revision), true
}

// exportOne exports one zone; a zone that no primary holds is deleted with it.
func (p *Primary) exportOne(ctx context.Context, zone string, in ExportZoneInput) (ExportZoneResult, error) {
	last, revision, err := p.last(ctx, zone)
	if err != nil {
		return ExportZoneResult{}, err
	}
	return p.exportOneAfter(ctx, zone, last, revision, in)
}

func (p *Primary) exportOneAfter(ctx context.Context, zone string, last pdns.Version, revision uint64, in ExportZoneInput) (result ExportZoneResult, err error) {
	ctx, ended := trace.Start(ctx, "export", trace.Zone(zone))
	defer func() {
		trace.Note(ctx, trace.Outcome(result.Outcome), trace.Version(result.Version.Version), trace.Serial(result.Version.Serial))
		ended(err)
	}()
	result, err = p.exportAfter(ctx, zone, last, revision, in)
	if err != nil || result.Outcome != ExportGone || len(result.Peers) > 0 {
		return result, err
	}
	if in.Local && in.Proxied != pdns.ProxiedDelete {
		return p.result(ExportElsewhere), nil // the guard reads lists, which takes long
	}
	return p.deleteOne(ctx, result, in)
}

func (p *Primary) export(ctx context.Context, zone string, in ExportZoneInput) (ExportZoneResult, error) {
	last, revision, err := p.last(ctx, zone)
	if err != nil {
		return ExportZoneResult{}, err
	}
	return p.exportAfter(ctx, zone, last, revision, in)
}

// last is a zone's newest version, none with revision 0 where nothing was published.
func (p *Primary) last(ctx context.Context, zone string) (pdns.Version, uint64, error) {
	asking, ended := trace.Start(ctx, "export newest")
	last, revision, err := p.Versions.Newest(asking, zone)
	ended(err)
	if errors.Is(err, pdns.ErrNoVersion) {
		return pdns.Version{}, 0, nil
	}
	return last, revision, err
}

// exportAfter exports a zone whose newest version, before it is looked at, is last.
func (p *Primary) exportAfter(ctx context.Context, zone string, last pdns.Version, revision uint64, in ExportZoneInput) (ExportZoneResult, error) {
	if in.Local && last.Records > LocalRecords {
		return p.result(ExportElsewhere), nil
	}
	content := newSpool(p.SpoolDir)
	defer content.Close() //nolint:errcheck // a temporary file that is left behind loses nothing
	before := p.predecessor(ctx, last, in)
	leftOut, summary, err := p.look(ctx, zone, last, in, content)
	missing := errors.Is(err, api.ErrNotFound)
	if (missing || leftOut != "") && p.ahead != nil {
		p.ahead.distributed.changed(zone)
	}
	if missing {
		return p.exportGone(ctx, zone, last, revision, in)
	}
	if err != nil {
		return ExportZoneResult{}, err
	}
	if leftOut != "" {
		return p.exportExcluded(ctx, zone, leftOut, last, revision, in)
	}
	next := p.versionOf(zone, summary.Summary)
	if revision != 0 && last.SameContent(next) && last.Version > in.Above {
		return p.newest(ExportUnchanged, last, revision), p.Guard.settled(ctx, zone)
	}
	if summary.proven && last.Version > in.Above {
		return p.prove(ctx, last, next, content, revision)
	}
	if revision != 0 && last.Publisher != in.Overrule && !last.Yields(next, in.Taken && in.Primary == p.ID) {
		result := p.newest(ExportBehind, last, revision)
		published := fmt.Sprintf("serial %d", last.Serial)
		if last.Deleted {
			published = "that it is gone"
		}
		result.Reason = fmt.Sprintf("primary %s holds zone %s with serial %d and other content than primary %s, which published %s",
			p.ID, zone, next.Serial, last.Publisher, published)
		return result, nil
	}
	if held, err := p.Guard.holdsShrink(ctx, last, next, in.Proxied); err != nil || held != nil {
		return p.held(last, revision, held), err
	}
	next.Diff = before.diff(next, content)
	reader, err := content.Reader()
	if err != nil {
		return ExportZoneResult{}, err
	}
	result, err := p.publish(ctx, next, reader, max(last.Version, in.Above), last, revision)
	if err == nil {
		p.ahead.keep(next, content)
	}
	if err == nil && last.Unproven() {
		p.Metrics.delta(deltaReplaced)
	}
	return result, err
}

// versionOf is a version of this primary's with that content, not numbered yet.
func (p *Primary) versionOf(zone string, content transfer.Summary) pdns.Version {
	return pdns.Version{
		Zone: zone, Serial: content.Serial, Digest: content.Digest, Records: content.Records, Plain: content.Plain,
		Signed: content.Signed, Expires: content.Expires, NSEC3: content.NSEC3, Live: content.Live, Size: content.Size, Publisher: p.ID,
	}
}

// prove publishes an unproven version once more under its number, with all of its
// content, which was found to be what it says. Who has applied it has nothing to do.
func (p *Primary) prove(ctx context.Context, last, read pdns.Version, content *spool, revision uint64) (ExportZoneResult, error) {
	reader, err := content.Reader()
	if err != nil {
		return ExportZoneResult{}, err
	}
	read.Version, read.Publisher, read.Time = last.Version, last.Publisher, last.Time
	written, err := p.Versions.Publish(ctx, read, reader, revision)
	if err != nil {
		return ExportZoneResult{}, fmt.Errorf("publish version %d as proven: %w", read.Version, err)
	}
	p.Metrics.delta(deltaProven)
	return p.newest(ExportUnchanged, read, written), p.Guard.settled(ctx, read.Zone)
}

// exportGone deals with a zone that the local PowerDNS does not hold, or that is
// not distributed any more.
func (p *Primary) exportGone(ctx context.Context, zone string, last pdns.Version, revision uint64, in ExportZoneInput) (ExportZoneResult, error) {
	last.Zone = zone // nothing is published of one left over
	approved, err := p.Guard.approved(ctx, last)
	switch {
	case err != nil:
		return ExportZoneResult{}, err
	case revision == 0 && !in.mayBeLeftOver() && !approved:
		result := p.result(ExportUnknown)
		result.Reason = fmt.Sprintf("zone %s is not on primary %s and was never distributed", zone, p.ID)
		return result, nil
	case last.Deleted && last.Version > in.Above:
		return p.newest(ExportUnchanged, last, revision), p.Guard.settled(ctx, zone)
	}
	peers, err := p.mayHold(ctx, last)
	if err != nil {
		return ExportZoneResult{}, fmt.Errorf("zone is gone here; whether other primaries still hold it is unknown: %w", err)
	}
	result := p.newest(ExportGone, last, revision)
	result.Peers = peers
	return result, nil
}

// exportExcluded deals with a zone that PowerDNS holds and that is not
// distributed. One that was is deleted from the secondaries, like one that is gone,
// and so is one that is left over there, or of which one has a version above its
// tombstone.
func (p *Primary) exportExcluded(ctx context.Context, zone, why string, last pdns.Version, revision uint64, in ExportZoneInput) (ExportZoneResult, error) {
	if revision == 0 && in.mayBeLeftOver() || revision != 0 && (!last.Deleted || last.Version <= in.Above) {
		return p.exportGone(ctx, zone, last, revision, in)
	}
	result := p.newest(ExportSkipped, last, revision)
	result.Reason = fmt.Sprintf("zone %s on primary %s is not distributed: %s", zone, p.ID, why)
	return result, nil
}

// publish numbers next above last and writes it.
func (p *Primary) publish(ctx context.Context, next pdns.Version, content io.Reader, above int64, last pdns.Version, revision uint64) (ExportZoneResult, error) {
	now := time.Now()
	next.Version, next.Time = pdns.NextVersion(above, now), now.UTC()
	publishing, ended := trace.Start(ctx, "export publish")
	written, err := p.Versions.Publish(publishing, next, content, revision)
	ended(err)
	if err != nil {
		return ExportZoneResult{}, fmt.Errorf("publish version %d: %w", next.Version, err)
	}
	if revision != 0 && !last.Deleted && !next.Deleted && pdns.SerialNewer(last.Serial, next.Serial) {
		p.Metrics.serialWentBack()
	}
	return p.newest(ExportPublished, next, written), p.Guard.settled(ctx, next.Zone)
}

// mayHold lists the other primaries that may hold a zone that is gone here: all
// that are registered, and the one that published it, which is not while it is
// stopped for a while.
func (p *Primary) mayHold(ctx context.Context, last pdns.Version) ([]string, error) {
	peers, err := p.Peers.OtherPrimaries(ctx)
	if last.Publisher != "" && last.Publisher != p.ID && !slices.Contains(peers, last.Publisher) {
		peers = append(peers, last.Publisher)
	}
	slices.Sort(peers)
	return peers, err
}

// explain adds the remedy that only the zone's settings tell.
func (p *Primary) explain(zone api.Zone, err error) error {
	if errors.Is(err, transfer.ErrRefused) && zone.NSEC3Narrow {
		return fmt.Errorf("zone %s uses NSEC3 narrow mode, which PowerDNS cannot hand out; "+
			"remedy: switch it off with `pdnsutil set-nsec3 %s '1 0 0 -'` and rectify: %w", zone.Name, zone.Name, err)
	}
	return err
}
