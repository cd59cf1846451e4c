package roster

import (
	"context"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Follow tells notice what the roster says of a secondary: at first, whenever it
// changes, and now and then. An entry that is not there is told as the zero
// value; while NATS is away nothing is. It ends with ctx.
func (r *Roster) Follow(ctx context.Context, id string, log *slog.Logger, notice func(pdns.Secondary)) {
	state := outage.Log{Logger: log, What: "following this secondary's entry of the roster"}
	begin := func() broker.Reading {
		return &reading{notice: func(s pdns.Secondary) {
			state.OK()
			notice(s)
		}}
	}
	broker.Watch(ctx, r.js, broker.BucketSecondaries, id, begin, func(err error) { state.Failed(err, "secondary", id) })
}

// reading is what one watch of an entry has read so far; at first, that it is not
// there.
type reading struct {
	secondary pdns.Secondary
	notice    func(pdns.Secondary)
}

// Note implements [broker.Reading].
func (r *reading) Note(entry jetstream.KeyValueEntry) (err error) {
	r.secondary = pdns.Secondary{}
	if entry.Operation() == jetstream.KeyValuePut {
		r.secondary, err = decode(entry.Key(), entry.Value())
	}
	return err
}

// Settled implements [broker.Reading].
func (r *reading) Settled() { r.notice(r.secondary) }
