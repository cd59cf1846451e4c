package activities

import (
	"context"
	"errors"
	"fmt"

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
// cache, whether the zone is gone. It only reads.
func (p *Primary) ConfirmGone(ctx context.Context, in ConfirmGoneInput) (ConfirmGoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	_, err := p.PowerDNS.Zone(ctx, in.Zone)
	switch {
	case errors.Is(err, api.ErrNotFound):
		return ConfirmGoneResult{Gone: true}, nil
	case err != nil:
		return ConfirmGoneResult{}, classify(fmt.Errorf("ask primary %s whether zone %s is gone: %w", p.ID, in.Zone, err))
	}
	return ConfirmGoneResult{}, nil
}

// PublishTombstoneInput asks for the tombstone of a zone that every primary
// said is gone.
type PublishTombstoneInput struct {
	Zone string `json:"zone"`
	// Revision is the entry's revision read before the primaries were asked.
	Revision uint64 `json:"revision"`
	// Above is the number the tombstone's version must exceed.
	Above int64 `json:"above,omitempty"`
}

// PublishTombstone publishes that a zone is gone, unless anything was published
// since the primaries were asked; then the compare-and-set fails for good and
// the workflow starts over. Doing it twice is harmless for the same reason.
func (p *Primary) PublishTombstone(ctx context.Context, in PublishTombstoneInput) (ExportZoneResult, error) {
	defer beat(ctx, func() any { return in.Zone })()
	last, revision, err := p.Versions.Newest(ctx, in.Zone)
	if err != nil && !errors.Is(err, pdns.ErrNoVersion) { // nothing is published of one left over
		return ExportZoneResult{}, classify(fmt.Errorf("delete zone %s: %w", in.Zone, err))
	}
	if last.Deleted || revision != in.Revision {
		return p.newest(ExportUnchanged, last, revision), nil
	}
	tombstone := pdns.Version{Zone: in.Zone, Deleted: true, Publisher: p.ID}
	result, err := p.publish(ctx, tombstone, nil, max(last.Version, in.Above), last, revision)
	return result, classify(err)
}
