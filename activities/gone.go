package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// ConfirmGoneInput asks one primary whether a zone is gone.
type ConfirmGoneInput struct {
	Zone string `json:"zone"`
}

// ConfirmGoneResult is that primary's answer.
type ConfirmGoneResult struct {
	Gone bool `json:"gone"`
}

// ConfirmGone asks the local PowerDNS, by API since its DNS side answers from a
// cache, whether the zone is gone, or is not distributed from here. It only reads.
func (p *Primary) ConfirmGone(ctx context.Context, in ConfirmGoneInput) (ConfirmGoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	gone, err := p.isGone(ctx, in.Zone)
	return ConfirmGoneResult{Gone: gone}, classify(err)
}

func (p *Primary) isGone(ctx context.Context, zone string) (bool, error) {
	held, err := p.PowerDNS.Zone(ctx, zone)
	switch {
	case errors.Is(err, api.ErrNotFound):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("ask primary %s whether zone %s is gone: %w", p.ID, zone, err)
	}
	return p.leavesOut(held) != "", nil
}

// PublishTombstoneInput asks for the tombstone of a zone that every primary
// said is gone.
type PublishTombstoneInput struct {
	Zone string `json:"zone"`
	// Revision is the entry's revision read before the primaries were asked.
	Revision uint64 `json:"revision"`
	// Above is the number the tombstone's version must exceed.
	Above int64 `json:"above,omitempty"`
	// Proxied says what API calls through our proxies asked for.
	Proxied pdns.Proxied `json:"proxied,omitempty"`
	// Primary found it gone first: the version is its word, so that it may
	// make the zone again at once.
	Primary string `json:"primary,omitempty"`
	// Together is that of ExportZoneInput.
	Together int `json:"together,omitempty"`
}

// PublishTombstone publishes that a zone is gone, unless the guard holds that, or
// anything was published since the primaries were asked; then the
// compare-and-set fails for good and the workflow starts over, as it does where
// the zone was made again meanwhile. Doing it twice is harmless for the same
// reason.
func (p *Primary) PublishTombstone(ctx context.Context, in PublishTombstoneInput) (ExportZoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	last, revision, err := p.Versions.Newest(ctx, in.Zone)
	if err != nil && !errors.Is(err, pdns.ErrNoVersion) { // nothing is published of one left over
		return ExportZoneResult{}, classify(fmt.Errorf("delete zone %s: %w", in.Zone, err))
	}
	last.Zone = in.Zone
	if last.Deleted && last.Version > in.Above || revision != in.Revision {
		return p.newest(ExportUnchanged, last, revision), nil
	}
	found := p.newest(ExportGone, last, revision)
	found.Primary = cmp.Or(in.Primary, p.ID)
	// The answers may be old: this is tried again for as long as NATS is away.
	if gone, err := p.isGone(ctx, in.Zone); err != nil {
		return ExportZoneResult{}, classify(err)
	} else if !gone {
		found.Reason = fmt.Sprintf("zone %s is on primary %s again", in.Zone, p.ID)
		return found, nil
	}
	result, err := p.deleteOne(ctx, found, ExportZoneInput{Zone: in.Zone, Above: in.Above, Proxied: in.Proxied, Together: in.Together})
	if errors.Is(err, errListed) {
		found.Reason = err.Error()
		return found, nil
	}
	return result, classify(err)
}

// deleteOne is [Primary.deleteGone] for one zone.
func (p *Primary) deleteOne(ctx context.Context, gone ExportZoneResult, in ExportZoneInput) (result ExportZoneResult, err error) {
	p.deleteGone(ctx, []ExportZoneResult{gone}, in, func(_ string, r ExportZoneResult, e error) { result, err = r, e })
	return result, err
}

// deleteGone publishes that zones are gone, or has the guard hold that. The guard
// is asked once for all of them; in says what for. note is told what became of each, one at a time
// or not.
func (p *Primary) deleteGone(ctx context.Context, gone []ExportZoneResult, in ExportZoneInput, note func(zone string, result ExportZoneResult, err error)) {
	var asked []pdns.Version
	for _, g := range gone {
		if !g.Version.Deleted { // a tombstone is only given a higher number
			asked = append(asked, g.Version)
		}
	}
	held, err := p.Guard.holdsDeletes(ctx, p, asked, in)
	var group errgroup.Group
	group.SetLimit(batchExportsAtOnce)
	for _, g := range gone {
		zone := g.Version.Zone
		group.Go(func() error {
			switch change, holds := held[zone]; {
			case err != nil:
				note(zone, ExportZoneResult{}, err)
			case holds:
				note(zone, p.held(g.Version, g.Revision, &change), nil)
			default:
				tombstone := pdns.Version{Zone: zone, Deleted: true, Publisher: g.Primary}
				result, err := p.publish(ctx, tombstone, nil, max(g.Version.Version, in.Above), g.Version, g.Revision)
				note(zone, result, err)
			}
			return nil
		})
	}
	_ = group.Wait() // what failed was noted
}
