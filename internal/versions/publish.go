package versions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Publish writes v with its content (nil for a tombstone) as the newest version
// of its zone where the entry's revision still is the given one, as
// [Store.Newest] returned it before the content was read; 0 where there was no
// entry. [ErrConflict] when another version was published since: what was read
// may then be older than that and must be read again, never re-published.
// Size and Object of v are set here, and it is no delta. It returns the new revision.
//
// After any other error the version may or may not have been published. The
// content is read once, as a stream.
func (s *Store) Publish(ctx context.Context, v pdns.Version, content io.Reader, revision uint64) (uint64, error) {
	published, err := s.publish(ctx, v, content, revision)
	if err != nil {
		return 0, fmt.Errorf("publish %s version %d: %w", v.Zone, v.Version, err)
	}
	return published, nil
}

func (s *Store) publish(ctx context.Context, v pdns.Version, content io.Reader, revision uint64) (uint64, error) {
	if (content == nil) != v.Deleted {
		return 0, errors.New("a tombstone has no content and every other version has")
	}
	small, rest, err := peek(content)
	if err != nil {
		return 0, err
	}
	v.Size, v.Object, v.Delta = int64(len(small)), "", nil
	if rest != nil {
		v.Object = objectName(v)
		if v.Size, err = s.putObject(ctx, v.Object, rest); err != nil {
			return 0, explain(err)
		}
		small = nil
	}
	entry, err := encode(v, trace.Header(ctx), small)
	if err != nil {
		return 0, err
	}
	published, err := s.swap(ctx, v.Zone, entry, revision)
	if errors.Is(err, ErrConflict) && v.Object != "" {
		s.dropLoser(ctx, v)
	}
	return published, err
}

// PublishDelta is [Store.Publish] for a delta, which holds all that it says.
func (s *Store) PublishDelta(ctx context.Context, v pdns.Version, revision uint64) (uint64, error) {
	entry, err := encode(v, trace.Header(ctx), nil)
	if err == nil && !v.Unproven() {
		err = errors.New("it is no delta")
	}
	var published uint64
	if err == nil {
		published, err = s.swap(ctx, v.Zone, entry, revision)
	}
	if err != nil {
		return 0, fmt.Errorf("publish %s version %d: %w", v.Zone, v.Version, err)
	}
	return published, nil
}

// peek returns the content where it is small enough for the entry, else a
// reader of all of it.
func peek(content io.Reader) (small []byte, rest io.Reader, err error) {
	if content == nil {
		return nil, nil, nil
	}
	small, err = io.ReadAll(io.LimitReader(content, inlineLimit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the content: %w", err)
	}
	if len(small) > inlineLimit {
		return nil, io.MultiReader(bytes.NewReader(small), content), nil
	}
	return small, nil, nil
}

// swap is the compare-and-set of the entry.
func (s *Store) swap(ctx context.Context, zone string, entry []byte, revision uint64) (uint64, error) {
	ctx = broker.Bounded(ctx)
	kv, err := s.bucket(ctx)
	if err != nil {
		return 0, explain(err)
	}
	var published uint64
	if revision == 0 {
		published, err = kv.Create(ctx, pdns.ZoneKey(zone), entry)
	} else {
		published, err = kv.Update(ctx, pdns.ZoneKey(zone), entry, revision)
	}
	if errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return 0, fmt.Errorf("%w (revision %d is past)", ErrConflict, revision)
	}
	if err != nil {
		return 0, explain(err)
	}
	return published, nil
}

// dropLoser removes the object of a version that was not published. It is
// kept when the newest entry cannot be read or names it after all; [Store.Prune]
// removes what stays behind.
func (s *Store) dropLoser(ctx context.Context, v pdns.Version) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	newest, _, err := s.Newest(ctx, v.Zone)
	if err != nil || newest.Holds(v.Object) {
		return
	}
	_ = s.removeObject(ctx, v.Object) // left to Prune
}
