package activities

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// diffRecords is the size of zones, in records, up to which the difference from
// the version before is published as well, and secondaries that have that one
// change just this. PowerDNS rectifies a zone of this size in little time.
const diffRecords = 500

// predecessor is the content of the version before, asked for while PowerDNS is
// asked for the zone. It is nil where no difference is to be told.
type predecessor struct {
	version pdns.Version
	reading chan struct{}
	content io.ReadCloser
	err     error
}

// predecessor begins to ask for the content of last, where it is not kept. Only a change
// that was just made is worth it: many secondaries have the version before.
func (p *Primary) predecessor(ctx context.Context, last pdns.Version, in ExportZoneInput) *predecessor {
	if last.Version == 0 || !in.Taken || in.Proxied == pdns.ProxiedDelete || last.Deleted || last.Signed || last.Unproven() || last.Object != "" || last.Records > diffRecords {
		return nil
	}
	before := &predecessor{version: last, reading: make(chan struct{})}
	if kept := p.ahead.kept(last); kept != nil {
		before.content = io.NopCloser(bytes.NewReader(kept))
		close(before.reading)
		return before
	}
	go func() {
		defer close(before.reading)
		before.content, before.err = p.Versions.Open(ctx, last)
	}()
	return before
}

// diff says how next, with this content, differs; nil where that cannot be told in
// a few RRsets.
func (b *predecessor) diff(next pdns.Version, content *spool) *pdns.Diff {
	if b == nil || next.Signed || next.Records > diffRecords || next.Serial == b.version.Serial {
		return nil
	}
	<-b.reading
	if b.err != nil {
		return nil
	}
	defer b.content.Close()
	is, err := content.Reader()
	if err != nil {
		return nil
	}
	sets, err := transfer.Diff(next.Zone, b.content, is)
	if err != nil {
		return nil
	}
	return &pdns.Diff{From: pdns.DeltaStep{Version: b.version.Version, Serial: b.version.Serial}, Sets: sets}
}

// amend makes PowerDNS serve v by changing just what differs from the applied
// version. The error says why the zone is to be transferred; it may then be
// changed already.
//
// Trying it again is harmless: the same RRsets are replaced once more.
func (s *Secondary) amend(ctx context.Context, v pdns.Version, applied pdns.Applied) error {
	if s.Changer == nil || !v.Diff.AppliesTo(applied) {
		return errors.New("the version's difference is not from what stands here")
	}
	found, err := s.amendable(ctx, v, applied)
	if err != nil {
		return err
	}
	if err := s.patch(ctx, v, v.Diff.Sets); err != nil {
		return err
	}
	s.ours.note(v.Zone, found)
	s.Metrics.delta(deltaAmended)
	return nil
}

// amendable checks that PowerDNS holds the zone as one of ours and as the applied
// version left it, so that RRsets of it can be changed alone. Whose it is was asked for
// at the time that it returns: now, or a moment ago.
func (s *Secondary) amendable(ctx context.Context, v pdns.Version, applied pdns.Applied) (found time.Time, err error) {
	ctx, ended := trace.Start(ctx, "apply look")
	defer func() { ended(err) }()
	now := s.now()
	found, ours := s.ours.take(v.Zone, now)
	if ours && !s.patching.unsettled(v.Zone) && s.serves(ctx, pdns.Version{Zone: v.Zone, Serial: applied.Serial}) == nil {
		return found, nil
	}
	held, err := s.PowerDNS.Zone(ctx, v.Zone)
	switch {
	case err != nil:
		return now, err
	case !held.OwnedBy(pdns.Account, s.Master):
		return now, errNotOurs
	case held.SOAEditAPI != "":
		return now, errors.New("PowerDNS would set another serial")
	}
	return now, s.undisturbed(held, v, applied)
}
