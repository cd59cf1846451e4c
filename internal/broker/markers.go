package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// markersWithin bounds the listing of a bucket's markers.
const markersWithin = 5 * time.Minute

// PruneMarkers removes what a bucket has in the place of keys that were deleted longer
// ago than age: the server keeps these for ever, and each listing has them sent. A key
// that is written again meanwhile stays.
func PruneMarkers(ctx context.Context, js jetstream.JetStream, bucket string, age time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, markersWithin)
	defer cancel()
	if err := pruneMarkers(ctx, js, bucket, age); err != nil {
		return fmt.Errorf("remove the markers of deleted keys from bucket %s: %w", bucket, Explain(err))
	}
	return nil
}

func pruneMarkers(ctx context.Context, js jetstream.JetStream, bucket string, age time.Duration) error {
	kv, err := Bucket(ctx, js, bucket)
	if err != nil {
		return err
	}
	stream, err := js.Stream(ctx, "KV_"+bucket)
	if err != nil {
		return err
	}
	keys, err := kv.WatchAll(ctx, jetstream.MetaOnly())
	if err != nil {
		return err
	}
	defer keys.Stop() //nolint:errcheck // it ends with ctx or the connection at the latest
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case entry, open := <-keys.Updates():
			switch {
			case !open:
				return errors.New("the listing ended")
			case entry == nil: // all were listed
				return nil
			case entry.Operation() == jetstream.KeyValuePut || time.Since(entry.Created()) < age:
				continue
			}
			subject := "$KV." + bucket + "." + entry.Key()
			// Up to the marker, not what may follow it.
			err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject), jetstream.WithPurgeSequence(entry.Revision()+1))
			if err != nil {
				return err
			}
		}
	}
}
