package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// markersAtOnce bounds what one call of [PruneMarkers] removes, which takes about as
// many milliseconds.
const markersAtOnce = 5000

// PruneMarkers removes what a bucket has in the place of keys that were deleted longer
// ago than age: the server keeps these for ever, and each listing has them sent. A key
// that is written again meanwhile stays. What there are too many of, or is not listed
// in time, is left to the next call.
func PruneMarkers(ctx context.Context, js jetstream.JetStream, bucket string, age time.Duration) error {
	if err := pruneMarkers(ctx, js, bucket, age); err != nil {
		return fmt.Errorf("remove the markers of deleted keys from bucket %s: %w", bucket, Explain(err))
	}
	return nil
}

func pruneMarkers(ctx context.Context, js jetstream.JetStream, bucket string, age time.Duration) error {
	markers, err := markersIn(ctx, js, bucket, age)
	if err != nil {
		return err
	}
	stream, err := js.Stream(Bounded(ctx), "KV_"+bucket)
	if err != nil {
		return err
	}
	for _, marker := range markers {
		subject := "$KV." + bucket + "." + marker.Key()
		// Up to the marker, not what may follow it.
		err := stream.Purge(Bounded(ctx), jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(marker.Revision()+1))
		if err != nil {
			return err
		}
	}
	return nil
}

// markersIn lists the markers of keys that were deleted longer ago than age.
func markersIn(ctx context.Context, js jetstream.JetStream, bucket string, age time.Duration) (markers []jetstream.KeyValueEntry, err error) {
	ctx, cancel := context.WithTimeout(ctx, listStall)
	defer cancel()
	kv, err := Bucket(ctx, js, bucket)
	if err != nil {
		return nil, err
	}
	keys, err := kv.WatchAll(ctx, jetstream.MetaOnly())
	if err != nil {
		return nil, err
	}
	defer EndWatch(keys)
	for len(markers) < markersAtOnce {
		select {
		case <-ctx.Done():
			return markers, nil
		case entry, open := <-keys.Updates():
			switch {
			case !open:
				return nil, errors.New("the listing ended")
			case entry == nil: // all were listed
				return markers, nil
			case entry.Operation() != jetstream.KeyValuePut && time.Since(entry.Created()) >= age:
				markers = append(markers, entry)
			}
		}
	}
	return markers, nil
}
