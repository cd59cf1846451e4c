package roster

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// followFor is how long one watch of an entry stands. A fresh one reads it
	// anew, so that whatever a watch missed is mended.
	followFor = 15 * time.Second
	// followRetry paces the attempts while NATS is away.
	followRetry = time.Second
)

// Follow tells notice what the roster says of a secondary: at first, whenever it
// changes, and now and then. An entry that is not there is told as the zero
// value; while NATS is away nothing is. It ends with ctx.
func (r *Roster) Follow(ctx context.Context, id string, log *slog.Logger, notice func(pdns.Secondary)) {
	state := outage.Log{Logger: log, What: "following this secondary's entry of the roster"}
	for ctx.Err() == nil {
		err := r.follow(ctx, id, func(s pdns.Secondary) {
			state.OK()
			notice(s)
		})
		if err == nil || ctx.Err() != nil {
			continue
		}
		state.Failed(broker.Explain(err), "secondary", id)
		select {
		case <-ctx.Done():
		case <-time.After(followRetry):
		}
	}
}

// follow watches the entry for a while.
func (r *Roster) follow(ctx context.Context, id string, notice func(pdns.Secondary)) error {
	ctx, cancel := context.WithTimeout(ctx, followFor)
	defer cancel()
	kv, err := r.bucket(ctx)
	if err != nil {
		return err
	}
	watch, err := kv.Watch(ctx, id)
	if err != nil {
		return err
	}
	defer func() { _ = watch.Stop() }()
	var known pdns.Secondary
	read := false
	for {
		select {
		case <-ctx.Done():
			if !read {
				return errors.New("NATS did not read the entry in time")
			}
			return nil
		case entry, open := <-watch.Updates():
			switch {
			case !open:
				return errors.New("the watch ended")
			case entry == nil:
				read = true
			case entry.Operation() != jetstream.KeyValuePut:
				known = pdns.Secondary{}
			default:
				if known, err = decode(entry); err != nil {
					return err
				}
			}
			if read {
				notice(known)
			}
		}
	}
}
