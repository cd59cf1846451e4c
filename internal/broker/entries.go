package broker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// listStall is how long a listing waits for the next entry.
const listStall = 10 * time.Second

// Entries yields every entry of a key-value bucket, each key at least once; a
// key that is written meanwhile may come twice, or with the value that it had
// at first. An error ends the listing and means that it is incomplete; without
// one it is complete, which the library's own listing does not promise: that
// ends after as many messages as there were keys, so a key written twice
// meanwhile hides another (nats.go v1.55.0: 42 of 200 listings of 30 keys were
// short while two clients wrote).
func Entries(ctx context.Context, js jetstream.JetStream, bucket string) iter.Seq2[jetstream.KeyValueEntry, error] {
	return func(yield func(jetstream.KeyValueEntry, error) bool) {
		kv, missing, err := keys(ctx, js, bucket)
		if err != nil {
			yield(nil, fmt.Errorf("list bucket %s: %w", bucket, Explain(err)))
			return
		}
		if len(missing) == 0 {
			return
		}
		goOn, err := watched(ctx, kv, missing, yield)
		if goOn && err == nil {
			goOn, err = asked(ctx, kv, missing, yield)
		}
		if goOn && err != nil {
			yield(nil, fmt.Errorf("list bucket %s: %w", bucket, Explain(err)))
		}
	}
}

// keys returns the bucket and the set of its keys, deleted ones too.
func keys(ctx context.Context, js jetstream.JetStream, bucket string) (jetstream.KeyValue, map[string]struct{}, error) {
	ctx = Bounded(ctx)
	kv, err := js.KeyValue(ctx, bucket)
	if err != nil {
		return nil, nil, err
	}
	stream, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return nil, nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(">"))
	if err != nil {
		return nil, nil, err
	}
	set := make(map[string]struct{}, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		set[strings.TrimPrefix(subject, "$KV."+bucket+".")] = struct{}{}
	}
	return kv, set, nil
}

// watched yields what a watch delivers at first and takes the keys seen out of
// missing. It returns false when the caller wants no more.
func watched(ctx context.Context, kv jetstream.KeyValue, missing map[string]struct{}, yield func(jetstream.KeyValueEntry, error) bool) (bool, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stall := time.AfterFunc(listStall, func() { cancel(fmt.Errorf("nothing came for %v", listStall)) })
	defer stall.Stop()
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return true, cmp.Or(context.Cause(ctx), err)
	}
	defer func() { _ = watch.Stop() }()
	for {
		select {
		case <-ctx.Done():
			return true, context.Cause(ctx)
		case entry, open := <-watch.Updates():
			if !open {
				return true, errors.New("the connection was closed")
			}
			if entry == nil {
				return true, nil
			}
			stall.Reset(listStall)
			delete(missing, entry.Key())
			if entry.Operation() == jetstream.KeyValuePut && !yield(entry, nil) {
				return false, nil
			}
		}
	}
}

// asked yields the entries of the keys that the watch did not deliver; those
// deleted meanwhile are left out.
func asked(ctx context.Context, kv jetstream.KeyValue, missing map[string]struct{}, yield func(jetstream.KeyValueEntry, error) bool) (bool, error) {
	for key := range missing {
		entry, err := kv.Get(Bounded(ctx), key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue
		}
		if err != nil {
			return true, err
		}
		if !yield(entry, nil) {
			return false, nil
		}
	}
	return true, nil
}
