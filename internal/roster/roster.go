// Package roster keeps the list of secondaries that every zone must reach, in
// the NATS key-value bucket pdns-secondaries: one JSON entry a secondary,
// written at its first registration and removed only by an operator.
package roster

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// ErrUnknown says that the roster has no secondary of that ID.
var ErrUnknown = errors.New("no such secondary in the roster")

// attempts bounds how often a change is tried again because someone else
// changed the same entry in between.
const attempts = 5

// Roster is the list of secondaries; safe for concurrent use.
type Roster struct{ js jetstream.JetStream }

// New returns the roster in js. It asks nothing yet.
func New(js jetstream.JetStream) *Roster { return &Roster{js: js} }

// List returns every secondary, sorted by ID. An error means unknown; an empty
// roster is an empty list.
func (r *Roster) List(ctx context.Context) ([]pdns.Secondary, error) {
	found := make(map[string]pdns.Secondary)
	for entry, err := range broker.Entries(ctx, r.js, broker.BucketSecondaries) {
		if err != nil {
			return nil, fmt.Errorf("list the secondaries: %w", err)
		}
		s, err := decode(entry.Key, entry.Value)
		if err != nil {
			return nil, fmt.Errorf("list the secondaries: %w", err)
		}
		found[s.ID] = s // an entry changed meanwhile comes twice, the newer one last
	}
	list := make([]pdns.Secondary, 0, len(found))
	for _, s := range found {
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b pdns.Secondary) int { return cmp.Compare(a.ID, b.ID) })
	return list, nil
}

// Get returns one secondary; [ErrUnknown] when there is none of that ID.
func (r *Roster) Get(ctx context.Context, id string) (pdns.Secondary, error) {
	ctx = broker.Bounded(ctx)
	kv, err := broker.Bucket(ctx, r.js, broker.BucketSecondaries)
	if err != nil {
		return pdns.Secondary{}, fmt.Errorf("secondary %s: %w", id, err)
	}
	entry, err := kv.Get(ctx, id)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		err = ErrUnknown
	}
	var s pdns.Secondary
	if err == nil {
		s, err = decode(id, entry.Value())
	}
	if err != nil {
		return pdns.Secondary{}, fmt.Errorf("secondary %s: %w", id, broker.Explain(err))
	}
	return s, nil
}

// Join puts s on the roster. For one that is on it already it updates
// DNSAddress and keeps JoinedAt and Paused. A zero JoinedAt becomes now.
func (r *Roster) Join(ctx context.Context, s pdns.Secondary) error {
	return r.change(ctx, s.ID, func(have *pdns.Secondary, known bool) error {
		if known {
			have.DNSAddress = s.DNSAddress
			return nil
		}
		*have = s
		if have.JoinedAt.IsZero() {
			have.JoinedAt = time.Now().UTC()
		}
		return nil
	})
}

// Pause has a secondary get nothing any more, or no longer so; [ErrUnknown] when
// it is not on the roster.
func (r *Roster) Pause(ctx context.Context, id string, paused bool) error {
	return r.change(ctx, id, func(have *pdns.Secondary, known bool) error {
		if !known {
			return ErrUnknown
		}
		if have.Paused != paused {
			have.Paused, have.Idle = paused, false
		}
		return nil
	})
}

// Idle notes that a secondary has ended what it had begun, if it is paused.
func (r *Roster) Idle(ctx context.Context, id string) error {
	return r.change(ctx, id, func(have *pdns.Secondary, known bool) error {
		have.Idle = known && have.Paused
		if !known {
			return ErrUnknown
		}
		return nil
	})
}

// Remove takes a secondary off the roster; no error when it is not on it.
func (r *Roster) Remove(ctx context.Context, id string) error {
	ctx = broker.Bounded(ctx)
	kv, err := broker.Bucket(ctx, r.js, broker.BucketSecondaries)
	if err == nil {
		err = broker.Explain(kv.Purge(ctx, id))
	}
	if err != nil {
		return fmt.Errorf("remove secondary %s from the roster: %w", id, err)
	}
	return nil
}

// change applies edit to the entry as it is now, by compare-and-set.
func (r *Roster) change(ctx context.Context, id string, edit func(have *pdns.Secondary, known bool) error) error {
	err := broker.Change(ctx, r.js, broker.BucketSecondaries, id, attempts, func(data []byte) ([]byte, error) {
		var have pdns.Secondary
		if data != nil {
			var err error
			if have, err = decode(id, data); err != nil {
				return nil, err
			}
		}
		wanted := have
		if err := edit(&wanted, data != nil); err != nil || wanted == have {
			return data, err
		}
		return json.Marshal(wanted)
	})
	if err != nil {
		return fmt.Errorf("write secondary %s to the roster: %w", id, err)
	}
	return nil
}

func decode(id string, data []byte) (pdns.Secondary, error) {
	var s pdns.Secondary
	err := json.Unmarshal(data, &s)
	if err == nil && s.ID != id {
		err = fmt.Errorf("it is of secondary %q", s.ID)
	}
	if err != nil {
		return pdns.Secondary{}, broker.NotOurs(broker.BucketSecondaries, id, err)
	}
	return s, nil
}
