package activities

import (
	"context"
	"errors"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const (
	// createRecords and createOctets bound the zones that are made with their
	// content in one call. PowerDNS's time to read a body grows with the square
	// of its size (4.7, LMDB); a transfer's does not.
	createRecords = 1000
	createOctets  = 128 << 10
)

// createWhole makes a zone that the local PowerDNS does not hold, with its content,
// in one call of the API: half the work of making it and having it transferred.
// It reports whether PowerDNS holds v now. Where it does not (the zone is there
// already, its content or its signatures need a transfer, PowerDNS refused), the
// usual way is to be taken, which also tells what is wrong.
//
// PowerDNS compares the zone with the transfer server within its refresh cycle,
// as it does after a transfer.
func (s *Secondary) createWhole(ctx context.Context, v pdns.Version, open opener, free func()) (bool, error) {
	if v.Signed || v.Records > createRecords {
		return false, nil
	}
	reader, err := open.read(ctx, v)
	if err != nil {
		return false, err
	}
	text, hollow, err := transfer.Text(reader, createOctets)
	if err = errors.Join(err, reader.Close()); err == nil {
		undo, failed := s.handing(v)
		if failed != nil {
			return false, failed
		}
		_, ended := trace.Start(ctx, "apply create")
		err = s.storing.beside(ctx, func() error {
			return s.PowerDNS.CreateFilledZone(context.WithoutCancel(ctx), v.Zone, s.Master, pdns.Account, text, hollow) // see handing
		})
		ended(err)
		if errors.Is(err, api.ErrConflict) { // nothing was handed out: the zone is there already, and may be somebody else's
			if failed := undo(); failed != nil {
				return false, failed
			}
		}
	}
	if err != nil {
		return false, nil //nolint:nilerr // the usual way carries everything, and says what is wrong
	}
	s.patching.forget(v.Zone)
	if err = s.awaitServed(ctx, v, s.serves); err == nil {
		err = s.flushNew(ctx, v.Zone, free)
	}
	// Else what was answered before may be cached still, which no look at the zone
	// tells; that v is handed out is noted, and has it transferred next.
	return err == nil, err
}
