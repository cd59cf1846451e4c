package versions

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// followAgain is the pause before a bucket that cannot be followed is tried again.
const followAgain = time.Second

// Follow calls published with every version that is published from now on, with
// its content where that rides in the entry, and with the header of the trace that
// it belongs to, if any, until ctx ends. It is a hint: what is published while the
// connection is down, or the bucket is made anew, may be left out. published must
// not wait. anew, sent to whenever the connection stands again, has the watch begin
// anew, see [Mirror.BeginAnew].
func (s *Store) Follow(ctx context.Context, logger *slog.Logger, anew <-chan struct{}, published func(v pdns.Version, content []byte, trace string)) {
	state := outage.Log{Logger: logger, What: "following the versions as they are published"}
	for ctx.Err() == nil {
		err := s.follow(ctx, &state, anew, published)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			continue
		}
		state.Failed(err)
		select {
		case <-ctx.Done():
		case <-time.After(followAgain):
		}
	}
}

// follow returns when the watch ends, as it does when its bucket is removed, or without an
// error when it is to begin anew.
func (s *Store) follow(ctx context.Context, state *outage.Log, anew <-chan struct{}, published func(v pdns.Version, content []byte, trace string)) error {
	kv, err := s.js.KeyValue(broker.Bounded(ctx), broker.BucketZones)
	if err != nil {
		return explain(err)
	}
	watch, err := kv.WatchAll(ctx, jetstream.UpdatesOnly())
	if err != nil {
		return explain(err)
	}
	defer broker.EndWatch(watch)
	state.OK()
	for {
		select {
		case <-anew:
			return nil
		case entry, open := <-watch.Updates():
			if !open {
				return fmt.Errorf("the watch of bucket %s ended", broker.BucketZones)
			}
			if entry == nil || entry.Operation() != jetstream.KeyValuePut {
				continue
			}
			if v, content, err := decodeTraced(entry.Key(), entry.Value()); err == nil {
				published(v.Version, content, v.Trace)
			}
		}
	}
}
