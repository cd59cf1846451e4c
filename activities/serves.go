package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// stands says whether v, once applied, still is what this secondary has: a zone
// that was deleted may be held again and, as long as it is empty, not be served.
func (s *Secondary) stands(ctx context.Context, v pdns.Version) bool {
	if s.serves(ctx, v) != nil {
		return false
	}
	if !v.Deleted {
		return true
	}
	_, err := s.PowerDNS.Zone(ctx, v.Zone)
	return errors.Is(err, api.ErrNotFound)
}

// serves asks the local PowerDNS by DNS whether it serves v, by serial. The
// error says what it serves instead.
func (s *Secondary) serves(ctx context.Context, v pdns.Version) error {
	answer, err := s.DNS.SOA(ctx, s.DNSAddress, v.Zone)
	served := err == nil && answer.Served(v.Zone)
	switch {
	case err != nil:
		return err
	case v.Deleted && served:
		return fmt.Errorf("still serves serial %d", answer.Serial)
	case v.Deleted:
		return nil
	case !served:
		return errors.New("serves no SOA of this zone")
	case answer.Serial != v.Serial:
		return fmt.Errorf("serves serial %d, not %d", answer.Serial, v.Serial)
	}
	return nil
}

// errOtherContent says that the local PowerDNS holds a zone with another content.
var errOtherContent = errors.New("holds other content")

// holds compares the whole content that the local PowerDNS holds with v. The
// error says how it differs, or why it cannot be compared.
func (s *Secondary) holds(ctx context.Context, v pdns.Version) error {
	var summary transfer.Summary
	var same bool
	var err error
	if v.Unproven() {
		summary, same, err = transfer.Compare(ctx, s.DNSAddress, v.Zone, merged(ctx, s.Versions, v))
	} else {
		summary, err = transfer.DigestOf(ctx, s.DNSAddress, v.Zone)
		same = summary.Serial == v.Serial && summary.Digest == v.Digest
	}
	switch {
	case errors.Is(err, transfer.ErrRefused):
		return fmt.Errorf("cannot be compared at an equal serial, since the local PowerDNS hands out no zones (set allow-axfr-ips=127.0.0.0/8,::1 and not disable-axfr): %w", err)
	case err != nil:
		return err
	case !same:
		return fmt.Errorf("%w (serial %d, %d records) than version %d (serial %d, %d records)", errOtherContent, summary.Serial, summary.Records, v.Version, v.Serial, v.Records)
	}
	return nil
}

// servesAndHolds says whether v is served, where PowerDNS may just be storing another
// version of the same serial that it was sent before. One that hands out no zones is
// believed for its serial.
func (s *Secondary) servesAndHolds(ctx context.Context, v pdns.Version) error {
	if err := s.serves(ctx, v); err != nil {
		return err
	}
	if err := s.holds(ctx, v); !errors.Is(err, transfer.ErrRefused) {
		return err
	}
	return nil
}
