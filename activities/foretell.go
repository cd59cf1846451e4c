package activities

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const (
	// mostForetold is how many RRsets PowerDNS is asked for: of more, an AXFR says as
	// soon what they are.
	mostForetold = 4
	// askWithin bounds these questions, which take less than a millisecond: an AXFR
	// does not wait for a datagram that was lost.
	askWithin = 50 * time.Millisecond
	// readAfter is how long after a version was foretold the zone is read. Until then
	// secondaries that share this host's processors have applied it.
	readAfter = 20 * time.Millisecond
)

// foretell publishes what API calls have made of a small zone before that is read: the
// content before, with the RRsets that they named as PowerDNS answers for them now. The
// version is one like any other. What else has changed, the export finds that follows,
// and before that has ended, no change counts as exported.
func (a *Ahead) foretell(zone string, start *headStart) (told ExportZoneResult, done bool) {
	last, revision, ok := a.known(zone)
	known, _ := a.covered(start)
	if !ok || a.primary.Answers == nil || known.unknown || len(known.rrsets) > mostForetold {
		return told, false
	}
	kept := a.kept(last)
	distributed, _ := a.distributed.has(zone)
	if kept == nil || last.Unproven() || !a.primary.knows(zone, last, ExportZoneInput{Distributed: distributed}) {
		return told, false
	}
	ctx, cancel := context.WithTimeout(trace.Join(a.ctx, start.trace), aheadShort)
	defer cancel()
	ctx, ended := trace.Start(ctx, "foretell", trace.Zone(zone))
	told, err := a.foretellAfter(ctx, last, revision, kept, known)
	trace.Note(ctx, trace.Version(told.Version.Version), trace.Serial(told.Version.Serial))
	ended(err)
	return told, err == nil
}

// foretellAfter foretells what known has made of last, whose content is kept.
func (a *Ahead) foretellAfter(ctx context.Context, last pdns.Version, revision uint64, kept []byte, known hints) (ExportZoneResult, error) {
	before, err := transfer.ReadBefore(last.Zone, bytes.NewReader(kept))
	if err != nil {
		return ExportZoneResult{}, err
	}
	answers, err := a.primary.askFor(ctx, last, known)
	if err != nil {
		return ExportZoneResult{}, err
	}
	sets, err := before.Diff(answers)
	switch {
	case err != nil:
		return ExportZoneResult{}, err
	case len(sets) < len(answers):
		// So something else may have moved the serial.
		return ExportZoneResult{}, errors.New("an RRset that a call named is as it was, its change may have been read before")
	}
	content := newSpool(a.primary.SpoolDir)
	defer content.Close() //nolint:errcheck // it is too small for a file
	merged := transfer.Merge(io.NopCloser(bytes.NewReader(kept)), sets)
	summary, err := transfer.Summarize(io.TeeReader(merged, content))
	if err := errors.Join(err, merged.Close()); err != nil {
		return ExportZoneResult{}, err
	}
	next := a.primary.versionOf(last.Zone, summary)
	next.Diff = &pdns.Diff{From: pdns.DeltaStep{Version: last.Version, Serial: last.Serial}, Sets: sets}
	reader, err := content.Reader()
	if err != nil {
		return ExportZoneResult{}, err
	}
	told, err := a.primary.publish(ctx, next, reader, last.Version, last, revision)
	if err == nil {
		a.keep(next, content)
	}
	return told, err
}

// askFor asks PowerDNS for the RRsets that API calls have named, and the SOA. The error
// also says why these may not be all that has changed since the last version.
func (p *Primary) askFor(ctx context.Context, last pdns.Version, known hints) (answers map[pdns.RRsetName][]dns.RR, err error) {
	ctx, ended := trace.Start(ctx, "foretell ask")
	defer func() { ended(err) }()
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	names := []pdns.RRsetName{{Name: last.Zone, Type: "SOA"}}
	for _, hint := range known.rrsets {
		if why := pdns.Patchable(last.Zone, hint); why != "" {
			return nil, errors.New(why)
		}
		names = append(names, hint)
	}
	found := make([][]dns.RR, len(names))
	asking, asked := errgroup.WithContext(ctx)
	for i, name := range names {
		asking.Go(func() (err error) {
			found[i], err = p.ask(asked, name)
			return err
		})
	}
	if err := asking.Wait(); err != nil {
		return nil, err
	}
	if err := movedBy(last, found[0], known.calls); err != nil {
		return nil, err
	}
	answers = make(map[pdns.RRsetName][]dns.RR, len(names))
	for i, name := range names {
		answers[name] = found[i]
	}
	return answers, nil
}

// ask asks PowerDNS for one RRset; none where it says so.
func (p *Primary) ask(ctx context.Context, name pdns.RRsetName) ([]dns.RR, error) {
	answer, err := p.Answers.SignedSet(ctx, p.DNSAddress, name.Name, dns.StringToType[name.Type])
	switch {
	case err != nil:
		return nil, err
	case len(answer.Signatures) > 0:
		return nil, fmt.Errorf("the answer for %s %s is signed", name.Name, name.Type)
	case answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError, !answer.Authoritative:
		return nil, fmt.Errorf("the answer for %s %s is %s, authoritative: %t", name.Name, name.Type, dns.RcodeToString[answer.Rcode], answer.Authoritative)
	}
	return answer.Records, nil
}

// movedBy says why an SOA may not be that of so many API calls after last. How the zone's
// serial moves is not asked for: nearly all move in one of these ways.
func movedBy(last pdns.Version, answer []dns.RR, calls int) error {
	if len(answer) != 1 {
		return fmt.Errorf("%d SOA records are answered", len(answer))
	}
	soa, ok := answer[0].(*dns.SOA)
	if !ok {
		return errors.New("the SOA cannot be read")
	}
	now := time.Now()
	for _, soaEditAPI := range []string{"DEFAULT", "INCREASE"} {
		if pdns.SerialAfter(last.Serial, soa.Serial, calls, soaEditAPI, now) == pdns.MovedByThese {
			return nil
		}
	}
	return fmt.Errorf("the serial is %d, which %d API calls do not make of %d", soa.Serial, calls, last.Serial)
}

// awaitApplies lets those go on who wait for a publication, leaves the processors to
// them, and has the export that follows cover what has changed meanwhile. It reports
// false where this process ends.
func (a *Ahead) awaitApplies(zone string, start *headStart) bool {
	close(start.published)
	<-a.slots
	select {
	case <-time.After(readAfter):
	case <-a.ctx.Done():
		return false
	}
	a.slots <- struct{}{}
	a.join(zone, start)
	return true
}

// judge is the result of a head start that has foretold a version, once the zone was read.
// Where that has found nothing else, the publication counts for the changes before it, as
// it kept all others from publishing what they had read; for those that were joined since
// it does not: nothing was written after these.
func (a *Ahead) judge(told ExportZoneResult, start *headStart) ExportZoneResult {
	switch {
	case start.err != nil:
		a.primary.Metrics.foretold(foretoldUnread)
	case start.result.Outcome == ExportUnchanged && start.result.Version.Version == told.Version.Version:
		a.primary.Metrics.foretold(foretoldRight)
		if len(start.joined) == 0 {
			return told
		}
	default:
		a.primary.Metrics.foretold(foretoldMore)
	}
	return start.result
}
