package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
)

func listed(ctx context.Context, js jetstream.JetStream) (map[string]string, error) {
	found := make(map[string]string)
	for entry, err := range broker.Entries(ctx, js, broker.BucketZones) {
		if err != nil {
			return found, err
		}
		found[entry.Key] = string(entry.Value)
	}
	return found, nil
}

func TestEntries(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	if found, err := listed(t.Context(), js); err != nil || len(found) != 0 {
		t.Errorf("an empty bucket gives %v, %v", found, err)
	}
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := kv.PutString(t.Context(), fmt.Sprintf("zone-%d.example", i), "x"); err != nil {
			t.Fatal(err)
		}
	}
	for _, gone := range []string{"zone-3.example", "zone-4.example"} {
		if err := kv.Delete(t.Context(), gone); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := listed(t.Context(), js); err != nil || len(found) != 18 {
		t.Errorf("listed %d entries, %v; want 18", len(found), err)
	}
	n := 0
	for range broker.Entries(t.Context(), js, broker.BucketZones) {
		if n++; n == 2 {
			break
		}
	}
	stream, err := js.Stream(t.Context(), "KV_"+broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	for name := range stream.ConsumerNames(t.Context()).Name() {
		t.Errorf("consumer %s is left behind", name)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := listed(ctx, js); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := js.DeleteKeyValue(t.Context(), broker.BucketZones); err != nil {
		t.Fatal(err)
	}
	if _, err := listed(t.Context(), js); !errors.Is(err, jetstream.ErrBucketNotFound) {
		t.Errorf("a missing bucket gives %v", err)
	}
}

// The server tells which keys there are 100,000 at a time, and in their order, into which new ones come meanwhile.
func TestEntriesOfManyKeys(t *testing.T) {
	const keys = 100_500
	js := brokertest.Fresh(t, stack)
	put := func(key string) {
		if _, err := js.PublishAsync("$KV."+broker.BucketZones+"."+key, []byte("x"), jetstream.WithStallWait(time.Minute)); err != nil {
			t.Error(err)
		}
	}
	for i := range keys {
		put(fmt.Sprintf("z%06d", i))
	}
	<-js.PublishAsyncComplete()
	stop := make(chan struct{})
	var writing sync.WaitGroup
	writing.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
				put(fmt.Sprintf("a%06d", i))
			}
		}
	})
	defer func() {
		close(stop)
		writing.Wait()
	}()
	for range 3 {
		found, err := listed(t.Context(), js)
		if err != nil {
			t.Fatal(err)
		}
		for i := range keys {
			if key := fmt.Sprintf("z%06d", i); found[key] != "x" {
				t.Fatalf("of %d keys listed none is %s", len(found), key)
			}
		}
	}
}

// A key written twice while others are listed must not hide another.
func TestEntriesAreCompleteWhileOthersWrite(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	const keys = 30
	write := func(ctx context.Context, i int) error {
		_, err := kv.PutString(ctx, fmt.Sprintf("zone-%d", i), "x")
		return err
	}
	for i := range keys {
		if err := write(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var writers sync.WaitGroup
	for w := range 2 {
		writers.Go(func() {
			for i := w; ctx.Err() == nil; i = (i + 7) % keys {
				if err := write(ctx, i); err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for range 200 {
		found, err := listed(t.Context(), js)
		if err != nil || len(found) != keys {
			t.Errorf("listed %d of %d, %v", len(found), keys, err)
			break
		}
	}
	cancel()
	writers.Wait()
}

func TestEntriesForASecondary(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if _, err := kv.Put(t.Context(), fmt.Sprintf("zone-%d", i), make([]byte, 4096)); err != nil {
			t.Fatal(err)
		}
	}
	_, secondary := brokertest.Connect(t, stack, "secondary-1")
	if found, err := listed(t.Context(), secondary); err != nil || len(found) != 2000 {
		t.Errorf("with a secondary's rights: listed %d of 2000, %v", len(found), err)
	}
}
