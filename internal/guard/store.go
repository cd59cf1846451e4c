// Package guard keeps in NATS what the guard remembers: in the key-value bucket
// pdns-guard the deletes of late and the key of the events' proofs, and in
// pdns-held the changes that it holds, one a zone. What is decided with it is
// decided in package pdns.
package guard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// attempts bounds how often a compare-and-set is tried again because someone
// else was quicker.
const attempts = 20

// Store is the guard's memory; safe for concurrent use, also by many primaries.
type Store struct{ js jetstream.JetStream }

// New returns the store in js. It asks nothing yet.
func New(js jetstream.JetStream) *Store { return &Store{js: js} }

// Amend has decide look at a ledger and keeps what it returns, by
// compare-and-set: decide is called again where another one was quicker. With a
// reason nothing is kept, and the reason is returned. An error means that nothing
// may be deleted: the ledger could not be read or written.
func (s *Store) Amend(ctx context.Context, ledger string, decide func(pdns.Ledger) (pdns.Ledger, string)) (string, error) {
	var reason string
	err := s.change(ctx, broker.BucketGuard, ledger, func(have []byte) ([]byte, error) {
		var l pdns.Ledger
		if have != nil {
			if err := json.Unmarshal(have, &l); err != nil {
				return nil, broker.NotOurs(broker.BucketGuard, ledger, err)
			}
		}
		if l, reason = decide(l); reason != "" {
			return have, nil
		}
		return json.Marshal(l)
	})
	if err != nil {
		return "", fmt.Errorf("ask the ledger of deletes: %w", err)
	}
	return reason, nil
}

// Held returns the held change of a zone, and whether there is one.
func (s *Store) Held(ctx context.Context, zone string) (pdns.HeldChange, bool, error) {
	h, _, err := s.held(broker.Bounded(ctx), zone)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return pdns.HeldChange{}, false, nil
	}
	if err != nil {
		return pdns.HeldChange{}, false, fmt.Errorf("held change of zone %s: %w", zone, broker.Explain(err))
	}
	return h, true, nil
}

func (s *Store) held(ctx context.Context, zone string) (pdns.HeldChange, uint64, error) {
	kv, err := broker.Bucket(ctx, s.js, broker.BucketHeld)
	if err != nil {
		return pdns.HeldChange{}, 0, err
	}
	entry, err := kv.Get(ctx, pdns.ZoneKey(zone))
	if err != nil {
		return pdns.HeldChange{}, 0, err
	}
	h, err := decode(entry.Key(), entry.Value())
	return h, entry.Revision(), err
}

// Hold notes a held change in place of what was held of its zone, unless that
// asks for the same: then it stays, with what was decided about it. It returns
// what is noted then, and whether that is new.
func (s *Store) Hold(ctx context.Context, change pdns.HeldChange) (noted pdns.HeldChange, isNew bool, err error) {
	err = s.change(ctx, broker.BucketHeld, pdns.ZoneKey(change.Zone), func(have []byte) ([]byte, error) {
		noted, isNew = change, true
		if have != nil {
			before, err := decode(pdns.ZoneKey(change.Zone), have)
			if err != nil {
				return nil, err
			}
			if before.Asks(change) {
				noted, isNew = before, false
				return have, nil
			}
		}
		return json.Marshal(change)
	})
	if err != nil {
		return pdns.HeldChange{}, false, fmt.Errorf("note the held change of zone %s: %w", change.Zone, err)
	}
	return noted, isNew, nil
}

// Decide notes a decision about a held change, which must still ask for the same:
// it returns false where it does not, or is held no more.
func (s *Store) Decide(ctx context.Context, change pdns.HeldChange, decision pdns.Decision, digest string) (bool, error) {
	decided := false
	err := s.change(ctx, broker.BucketHeld, pdns.ZoneKey(change.Zone), func(have []byte) ([]byte, error) {
		decided = false
		if have == nil {
			return nil, nil
		}
		now, err := decode(pdns.ZoneKey(change.Zone), have)
		if err != nil || !now.Asks(change) {
			return have, err
		}
		decided = true
		now.Decision, now.Decided = decision, digest
		return json.Marshal(now)
	})
	if err != nil {
		return false, fmt.Errorf("note the decision about zone %s: %w", change.Zone, err)
	}
	return decided, nil
}

// Release forgets the held change of a zone, where it still asks for the same as
// change; no error where there is none.
func (s *Store) Release(ctx context.Context, change pdns.HeldChange) error {
	ctx = broker.Bounded(ctx)
	now, revision, err := s.held(ctx, change.Zone)
	if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && !now.Asks(change) {
		return nil
	}
	if err == nil {
		var kv jetstream.KeyValue
		if kv, err = broker.Bucket(ctx, s.js, broker.BucketHeld); err == nil {
			err = kv.Purge(ctx, pdns.ZoneKey(change.Zone), jetstream.LastRevision(revision))
		}
	}
	if err != nil {
		return fmt.Errorf("release the held change of zone %s: %w", change.Zone, broker.Explain(err))
	}
	return nil
}

// All returns every held change. An error means unknown, never none.
func (s *Store) All(ctx context.Context) ([]pdns.HeldChange, error) {
	held := make(map[string]pdns.HeldChange)
	for entry, err := range broker.Entries(ctx, s.js, broker.BucketHeld) {
		if err != nil {
			return nil, fmt.Errorf("list the held changes: %w", err)
		}
		h, err := decode(entry.Key, entry.Value)
		if err != nil {
			return nil, fmt.Errorf("list the held changes: %w", err)
		}
		held[h.Zone] = h // one changed meanwhile comes twice, the newer one last
	}
	list := make([]pdns.HeldChange, 0, len(held))
	for _, h := range held {
		list = append(list, h)
	}
	return list, nil
}

// change is [broker.Change] of a key.
func (s *Store) change(ctx context.Context, bucket, key string, edit func(have []byte) ([]byte, error)) error {
	return broker.Change(ctx, s.js, bucket, key, attempts, edit)
}

func decode(key string, value []byte) (pdns.HeldChange, error) {
	var h pdns.HeldChange
	err := json.Unmarshal(value, &h)
	if err == nil && pdns.ZoneKey(h.Zone) != key {
		err = fmt.Errorf("it is of zone %q", h.Zone)
	}
	if err != nil {
		return pdns.HeldChange{}, broker.NotOurs(broker.BucketHeld, key, err)
	}
	return h, nil
}
