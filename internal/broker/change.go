package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Bucket opens a key-value bucket. The error says what to do.
func Bucket(ctx context.Context, js jetstream.JetStream, name string) (jetstream.KeyValue, error) {
	kv, err := js.KeyValue(ctx, name)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, fmt.Errorf("bucket %s is missing in NATS, a running primary makes it within a minute: %w", name, err)
	}
	return kv, Explain(err)
}

// Change applies edit to the value of a key, nil where there is none, by
// compare-and-set, and anew where someone else was quicker, up to so many
// attempts. What edit returns unchanged is not written; an error of its own is
// returned as it is.
func Change(ctx context.Context, js jetstream.JetStream, bucket, key string, attempts int, edit func(have []byte) ([]byte, error)) error {
	ctx = Bounded(ctx)
	kv, err := Bucket(ctx, js, bucket)
	if err != nil {
		return err
	}
	for range attempts {
		err := changeOnce(ctx, kv, key, edit)
		if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
			continue // someone else was quicker
		}
		return Explain(err)
	}
	return fmt.Errorf("key %s of bucket %s was changed by someone else %d times in a row", key, bucket, attempts)
}

func changeOnce(ctx context.Context, kv jetstream.KeyValue, key string, edit func(have []byte) ([]byte, error)) error {
	var have []byte
	entry, err := kv.Get(ctx, key)
	missing := errors.Is(err, jetstream.ErrKeyNotFound)
	if err != nil && !missing {
		return err
	}
	if !missing {
		have = append([]byte{}, entry.Value()...) // not nil, though it be empty
	}
	wanted, err := edit(have)
	if err != nil || bytes.Equal(wanted, have) {
		return err
	}
	if missing {
		_, err = kv.Create(ctx, key, wanted)
	} else {
		_, err = kv.Update(ctx, key, wanted, entry.Revision())
	}
	return err
}
