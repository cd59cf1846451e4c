// Package versions keeps the newest version of every zone in NATS: an entry
// in the key-value bucket pdns-zones, with the content in it where it is
// small, else in the object store pdns-snapshots. Primaries publish with
// compare-and-set, secondaries read.
//
// Reads are answered by the leader of the bucket's stream (the bucket is made
// without direct reads, see [broker.Ensure]). A leader cut off from its
// followers may for seconds still answer with the version before: a publisher is
// then stopped by the compare-and-set, which needs a quorum; a secondary gets a
// version that was the newest moments ago, and the sync of the newer one
// follows. Without an answer every method fails.
package versions

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

var (
	// ErrNone says that a zone has no entry. A bucket that is missing, or NATS
	// that does not answer, is another error.
	ErrNone = pdns.ErrNoVersion
	// ErrConflict says that another version was published since the revision
	// was read.
	ErrConflict = pdns.ErrVersionConflict
	// ErrGone says that the content of a version was replaced by a newer one.
	ErrGone = pdns.ErrContentGone
)

// Store is the version store; safe for concurrent use.
type Store struct {
	js jetstream.JetStream

	mu      sync.Mutex
	zones   jetstream.KeyValue
	objects jetstream.ObjectStore
}

// New returns the store in js. It asks nothing yet.
func New(js jetstream.JetStream) *Store { return &Store{js: js} }

// Newest returns a zone's newest version and the entry's revision, for
// [Store.Publish]; [ErrNone] and revision 0 when there is none.
func (s *Store) Newest(ctx context.Context, zone string) (pdns.Version, uint64, error) {
	v, _, revision, err := s.read(ctx, zone)
	if err != nil {
		return pdns.Version{}, 0, fmt.Errorf("newest version of %s: %w", zone, err)
	}
	return v, revision, nil
}

// Fetch returns a zone's newest version with its content, in the encoding that it was
// published in; no content for a tombstone, a delta, and where an object holds it: then
// [Store.Open] has it. [ErrNone] when there is no version.
func (s *Store) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	v, content, _, err := s.read(ctx, zone)
	if err != nil {
		return pdns.Version{}, nil, fmt.Errorf("newest version of %s: %w", zone, err)
	}
	return v, content, nil
}

// Open returns the content of exactly v, in the encoding that it was published
// in; [ErrGone] when it is not kept any more. The digest that pdns/transfer
// counts while reading is the proof of its integrity. A delta has no content of its
// own: open its base. A context without deadline bounds the reading to [openTimeout].
func (s *Store) Open(ctx context.Context, v pdns.Version) (io.ReadCloser, error) {
	if v.Deleted {
		return nil, fmt.Errorf("content of %s version %d: it is a tombstone and has none", v.Zone, v.Version)
	}
	if v.Unproven() {
		return nil, fmt.Errorf("content of %s version %d: it is a delta and has only its base's", v.Zone, v.Version)
	}
	content, err := s.open(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("content of %s version %d: %w", v.Zone, v.Version, err)
	}
	return content, nil
}

func (s *Store) open(ctx context.Context, v pdns.Version) (io.ReadCloser, error) {
	if v.Object != "" {
		return s.openObject(ctx, v.Object)
	}
	newest, content, _, err := s.read(ctx, v.Zone)
	if errors.Is(err, ErrNone) || err == nil && newest.Version != v.Version {
		return nil, ErrGone
	}
	if err != nil {
		return nil, err
	}
	// The caller's copy may be older than the object's name: it is set on
	// publication.
	if newest.Object != "" {
		return s.openObject(ctx, newest.Object)
	}
	return inline(content), nil
}

// All yields every zone's newest version. An error ends it and means that the
// list is incomplete; an empty bucket is an empty list. A zone that is
// published meanwhile may come twice, or with the version before.
func (s *Store) All(ctx context.Context) iter.Seq2[pdns.Version, error] {
	return func(yield func(pdns.Version, error) bool) {
		for entry, err := range broker.Entries(ctx, s.js, broker.BucketZones) {
			if err != nil {
				yield(pdns.Version{}, err)
				return
			}
			v, _, err := decode(entry.Key, entry.Value)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

// read returns the newest entry of zone, its content (empty where an object
// holds it) and its revision.
func (s *Store) read(ctx context.Context, zone string) (pdns.Version, []byte, uint64, error) {
	ctx = broker.Bounded(ctx)
	kv, err := s.bucket(ctx)
	if err != nil {
		return pdns.Version{}, nil, 0, explain(err)
	}
	key := pdns.ZoneKey(zone)
	entry, err := kv.Get(ctx, key)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return pdns.Version{}, nil, 0, ErrNone
	}
	if err != nil {
		return pdns.Version{}, nil, 0, explain(err)
	}
	v, content, err := decode(key, entry.Value())
	return v, content, entry.Revision(), err
}

// bucket returns the bucket of versions. It is not kept while the bucket
// still allows direct reads (one made by hand, until [broker.Ensure] has
// mended it), since the library decides how to read when it is opened.
func (s *Store) bucket(ctx context.Context) (jetstream.KeyValue, error) {
	s.mu.Lock()
	kv := s.zones
	s.mu.Unlock()
	if kv != nil {
		return kv, nil
	}
	kv, err := s.js.KeyValue(ctx, broker.BucketZones)
	if err != nil {
		return nil, err
	}
	status, err := kv.Status(ctx)
	if err != nil {
		return nil, err
	}
	bucket, ok := status.(*jetstream.KeyValueBucketStatus)
	if ok && !bucket.StreamInfo().Config.AllowDirect {
		s.mu.Lock()
		s.zones = kv
		s.mu.Unlock()
	}
	return kv, nil
}

// explain says what to do about errors that an operator can mend.
func explain(err error) error {
	if errors.Is(err, jetstream.ErrBucketNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, jetstream.ErrNoStreamResponse) {
		return fmt.Errorf("bucket %s or %s is missing in NATS, a running primary makes it within a minute: %w",
			broker.BucketZones, broker.BucketSnapshots, err)
	}
	return broker.Explain(err)
}
