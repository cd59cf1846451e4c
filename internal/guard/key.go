package guard

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// keyName is the key in bucket pdns-guard under which the key of proofs lies.
	keyName = "proof-key"
	keyLen  = 32
	// keyEvery is how often it is looked after.
	keyEvery = 10 * time.Second
	// keyAgain is the least time between two looks because a proof was no good.
	keyAgain = time.Second
	// keyWithin bounds the wait for it where there is none yet.
	keyWithin = time.Second
)

// Key is the key under which the primaries' proxies prove their events. Whichever
// primary comes first makes it. One whose bucket was lost is put back by any that
// still knows it, so that events on their way stay proven.
type Key struct {
	store *Store

	mu sync.Mutex
	// keys are those that this process has seen, the present one first.
	keys   [][]byte
	looked time.Time
}

// NewKey returns the key in store. It asks nothing yet.
func NewKey(store *Store) *Key { return &Key{store: store} }

// Run looks after the key until ctx ends.
func (k *Key) Run(ctx context.Context) {
	tick := time.NewTicker(keyEvery)
	defer tick.Stop()
	for {
		// Who needs the key is told what is wrong with it.
		_ = k.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Prove returns the proof of an event; an error where there is no key and NATS
// gives none.
func (k *Key) Prove(ctx context.Context, e pdns.Event, kind pdns.ChangeKind) (string, error) {
	keys, err := k.known(ctx)
	if err != nil {
		return "", err
	}
	return e.Prove(kind, keys[0]), nil
}

// Proven says what the API call of an event was. A proof under an unknown key
// may be under a new one, so the key is looked up again. An error means that it
// cannot be told.
func (k *Key) Proven(ctx context.Context, e pdns.Event) (pdns.Proxied, error) {
	if e.Proof == "" {
		return pdns.NotProxied, nil
	}
	keys, err := k.known(ctx)
	if err != nil {
		return pdns.NotProxied, err
	}
	proxied := e.ProvenBy(keys...)
	if proxied == pdns.NotProxied && k.mayLookAgain() {
		if err := k.look(ctx); err != nil {
			return pdns.NotProxied, err
		}
		if keys, err = k.known(ctx); err != nil {
			return pdns.NotProxied, err
		}
		proxied = e.ProvenBy(keys...)
	}
	return proxied, nil
}

// known returns the keys, after a look where there are none yet.
func (k *Key) known(ctx context.Context) ([][]byte, error) {
	if keys := k.seen(); len(keys) > 0 {
		return keys, nil
	}
	ctx, cancel := context.WithTimeout(ctx, keyWithin)
	defer cancel()
	if err := k.look(ctx); err != nil {
		return nil, err
	}
	return k.seen(), nil
}

func (k *Key) seen() [][]byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	return slices.Clone(k.keys)
}

// mayLookAgain says that the last look is a while past: whoever sends proofs that
// are none must not have us ask for each.
func (k *Key) mayLookAgain() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return time.Since(k.looked) > keyAgain
}

// look reads the key, or puts it there where it is missing.
func (k *Key) look(ctx context.Context) error {
	key := make([]byte, keyLen)
	if keys := k.seen(); len(keys) > 0 {
		key = keys[0]
	} else if _, err := rand.Read(key); err != nil {
		return fmt.Errorf("make the key of proofs: %w", err)
	}
	err := k.store.change(ctx, broker.BucketGuard, keyName, func(have []byte) ([]byte, error) {
		if have == nil {
			return key, nil
		}
		if len(have) != keyLen {
			return nil, broker.NotOurs(broker.BucketGuard, keyName, fmt.Errorf("it has %d octets", len(have)))
		}
		key = have
		return have, nil
	})
	k.mu.Lock()
	defer k.mu.Unlock()
	k.looked = time.Now()
	if err != nil {
		return fmt.Errorf("key of the proofs of events: %w", err)
	}
	k.keys = slices.DeleteFunc(k.keys, func(known []byte) bool { return bytes.Equal(known, key) })
	k.keys = slices.Insert(k.keys, 0, key)
	return nil
}
