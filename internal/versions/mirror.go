package versions

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// mirrorRetry is the pause before a watch that broke off begins anew.
	mirrorRetry = time.Second
	// mirrorStall is how long [Mirror.Newest] waits for the next of what NATS has
	// already. A watch that stands still so long begins anew.
	mirrorStall = 5 * time.Second
)

// Mirror keeps every zone's newest version, without the content, in memory: a
// check that runs every minute must not read a bucket of 10,000 entries each
// time. It is as new as the bucket was when it was asked. Make it with
// [NewMirror].
type Mirror struct {
	// OnOlder is called when the bucket has come back in an older state: NATS was
	// started again from a backup, or had not yet written what it said it had. Optional.
	OnOlder func()

	js jetstream.JetStream
	// anew has the watch begin anew.
	anew chan struct{}

	mu sync.Mutex
	// created is when the bucket was made that is being watched.
	created time.Time
	// versions and faults hold what was read, by key; faults what cannot be
	// decoded. keys are all keys, removed ones too: one message each.
	versions map[string]mirrored
	faults   map[string]error
	keys     map[string]struct{}
	// complete says that all that was there at first has been read, seen is the
	// revision up to which that is everything.
	complete bool
	seen     uint64
	// moved is closed, and made anew, when any of these have changed.
	moved chan struct{}
}

// mirrored is a version and the revision of its entry.
type mirrored struct {
	pdns.Version
	revision uint64
}

// NewMirror returns a mirror that fills once [Mirror.Run] runs.
func NewMirror(js jetstream.JetStream) *Mirror {
	return &Mirror{js: js, anew: make(chan struct{}, 1), moved: make(chan struct{})}
}

// Run keeps the mirror until ctx ends.
func (m *Mirror) Run(ctx context.Context) {
	for ctx.Err() == nil {
		// Whoever asks is told why there is no answer; see [Mirror.Newest].
		_ = m.watch(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(mirrorRetry):
		}
	}
}

// watch reads the bucket from its start and then what is written, until ctx ends,
// the watch breaks off or it shall begin anew.
func (m *Mirror) watch(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	before := m.known()
	info, err := m.bucket(ctx)
	if err != nil {
		return err
	}
	kv, err := m.js.KeyValue(broker.Bounded(ctx), broker.BucketZones)
	if err != nil {
		return err
	}
	m.begin(info)
	if before.newerThan(info) && m.OnOlder != nil {
		m.OnOlder() // once: begin has forgotten what was there before
	}
	watch, err := kv.WatchAll(ctx)
	if err != nil {
		return err
	}
	defer broker.EndWatch(watch)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-m.anew:
			return nil
		case entry, open := <-watch.Updates():
			if !open {
				return errors.New("the connection was closed")
			}
			m.note(entry)
		}
	}
}

// reach is how far a mirror has come with which bucket.
type reach struct {
	created time.Time
	seen    uint64
}

func (m *Mirror) known() reach {
	m.mu.Lock()
	defer m.mu.Unlock()
	return reach{m.created, m.seen}
}

// newerThan says that the bucket, asked later, has not got as far.
func (r reach) newerThan(bucket *jetstream.StreamInfo) bool {
	return r.created.Equal(bucket.Created) && bucket.State.LastSeq < r.seen
}

// begin forgets everything for a watch of the bucket as it is now.
func (m *Mirror) begin(bucket *jetstream.StreamInfo) {
	m.mu.Lock()
	defer m.mu.Unlock()
	// The last entries may have been purged without a marker: their revisions
	// never come.
	m.created, m.complete, m.seen = bucket.Created, false, bucket.State.LastSeq
	m.versions, m.faults, m.keys = make(map[string]mirrored), make(map[string]error), make(map[string]struct{})
}

// note takes in one entry; nil marks the end of those that were there at first.
func (m *Mirror) note(entry jetstream.KeyValueEntry) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() {
		close(m.moved)
		m.moved = make(chan struct{})
	}()
	if entry == nil {
		m.complete = true
		return
	}
	key := entry.Key()
	m.seen = max(m.seen, entry.Revision())
	m.keys[key] = struct{}{}
	delete(m.faults, key)
	delete(m.versions, key)
	if entry.Operation() != jetstream.KeyValuePut {
		return
	}
	v, _, err := decode(key, entry.Value())
	if err != nil {
		m.faults[key] = err
		return
	}
	m.versions[key] = mirrored{v.WithoutSets(), entry.Revision()}
}

// Known returns a zone's newest version as far as the mirror has come, and its
// revision for [Store.Publish], 0 where there is none: it asks nothing, and may be
// some milliseconds late, or seconds where NATS is away. False where it cannot
// tell, and for a delta, whose RRsets are not in memory.
func (m *Mirror) Known(zone string) (pdns.Version, uint64, bool) {
	key := pdns.ZoneKey(zone)
	m.mu.Lock()
	defer m.mu.Unlock()
	v := m.versions[key]
	if !m.complete || m.faults[key] != nil || v.Unproven() {
		return pdns.Version{}, 0, false
	}
	return v.Version, v.revision, true
}

// Revision is that of [Mirror.Known].
func (m *Mirror) Revision(zone string) (uint64, bool) {
	_, revision, known := m.Known(zone)
	return revision, known
}

// Newest returns every zone's newest version, by zone, as of this moment or
// later. An error means unknown.
func (m *Mirror) Newest(ctx context.Context) (map[string]pdns.Version, error) {
	newest, err := m.newest(ctx)
	if err != nil {
		return nil, fmt.Errorf("newest versions of all zones: %w", err)
	}
	return newest, nil
}

func (m *Mirror) newest(ctx context.Context) (map[string]pdns.Version, error) {
	before := m.known()
	info, err := m.bucket(ctx)
	if err != nil {
		return nil, err
	}
	if before.newerThan(info) {
		m.BeginAnew()
		return nil, fmt.Errorf("bucket %s came back in an older state and is read anew", broker.BucketZones)
	}
	for {
		moved, ready := m.reached(info)
		if ready {
			return m.copy()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(mirrorStall):
			m.BeginAnew()
			return nil, fmt.Errorf("the watch of bucket %s stands still for %s; it begins anew", broker.BucketZones, mirrorStall)
		}
	}
}

// BeginAnew has everything read anew. A watch goes on after the last entry that it
// has seen, so where NATS comes back in an older state it sees nothing until that
// many entries have been written again: it is to begin anew whenever the connection
// stands again. It never blocks.
func (m *Mirror) BeginAnew() {
	select {
	case m.anew <- struct{}{}:
	default:
	}
}

// reached reports whether the mirror has all that info knows of; else moved tells
// when to ask again.
func (m *Mirror) reached(info *jetstream.StreamInfo) (moved <-chan struct{}, ready bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	another := !m.created.Equal(info.Created)
	purged := m.complete && m.seen == info.State.LastSeq && uint64(len(m.keys)) != info.State.Msgs
	if another || purged {
		m.BeginAnew()
		return m.moved, false
	}
	return m.moved, m.complete && m.seen >= info.State.LastSeq
}

func (m *Mirror) copy() (map[string]pdns.Version, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, err := range m.faults {
		return nil, err
	}
	byZone := make(map[string]pdns.Version, len(m.versions))
	for v := range maps.Values(m.versions) {
		byZone[v.Zone] = v.Version
	}
	return byZone, nil
}

// bucket asks how the bucket's stream stands.
func (m *Mirror) bucket(ctx context.Context) (*jetstream.StreamInfo, error) {
	stream, err := m.js.Stream(broker.Bounded(ctx), "KV_"+broker.BucketZones)
	if err != nil {
		return nil, explain(err)
	}
	return stream.CachedInfo(), nil
}
