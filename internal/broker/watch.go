package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// watchFor is how long one watch stands. A fresh one reads everything anew, so
	// that whatever a watch missed (a bucket made again) is mended.
	watchFor = 15 * time.Second
	// watchRetry paces the attempts while NATS is away.
	watchRetry = time.Second
)

// Reading takes in what one watch of a bucket reads.
type Reading interface {
	// Note takes in an entry, a removed one too. An error ends the watch.
	Note(entry jetstream.KeyValueEntry) error
	// Settled is called when all that was there at first has been noted, and
	// again after each entry that follows.
	Settled()
}

// Watch keeps up with those keys of a bucket, with wildcards as in subjects, until
// ctx ends: everything is read now and then from the start, each time into a
// Reading of its own. lost is told why the bucket cannot be watched at present.
func Watch(ctx context.Context, js jetstream.JetStream, bucket, keys string, begin func() Reading, lost func(error)) {
	for ctx.Err() == nil {
		err := watch(ctx, js, bucket, keys, begin())
		if err == nil || ctx.Err() != nil {
			continue
		}
		lost(err)
		select {
		case <-ctx.Done():
		case <-time.After(watchRetry):
		}
	}
}

// EndWatch ends a watch. What is still on its way to it is taken, else the library would wait
// for somebody to do so, with all of that in memory (nats.go v1.55.0).
func EndWatch(watch jetstream.KeyWatcher) {
	_ = watch.Stop() // the server ends it by itself
	go func() {
		for range watch.Updates() { // until the library closes it
		}
	}()
}

// watch reads the keys and follows them for a while.
func watch(ctx context.Context, js jetstream.JetStream, bucket, keys string, reading Reading) error {
	ctx, cancel := context.WithTimeout(ctx, watchFor)
	defer cancel()
	kv, err := Bucket(ctx, js, bucket)
	if err != nil {
		return err
	}
	watch, err := kv.Watch(ctx, keys)
	if err != nil {
		return Explain(err)
	}
	defer EndWatch(watch)
	settled := false
	for {
		select {
		case <-ctx.Done():
			if !settled {
				return fmt.Errorf("NATS did not list bucket %s in time", bucket)
			}
			return nil
		case entry, open := <-watch.Updates():
			if !open {
				return errors.New("the watch ended")
			}
			if entry == nil {
				settled = true
			} else if err := reading.Note(entry); err != nil {
				return err
			}
			if settled {
				reading.Settled()
			}
		}
	}
}
