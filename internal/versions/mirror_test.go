package versions_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// mirror returns one that runs until the test ends.
func mirror(t *testing.T, js jetstream.JetStream) *versions.Mirror {
	t.Helper()
	m := versions.NewMirror(js)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { m.Run(ctx); close(ended) }()
	t.Cleanup(func() { cancel(); <-ended })
	return m
}

// mirrored returns what the mirror has of a zone, the zero Version for nothing.
func mirrored(t *testing.T, m *versions.Mirror, zone string) pdns.Version {
	t.Helper()
	newest, err := m.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return newest[zone]
}

// What was published before the question is in the answer, every time.
func TestMirrorIsAsNewAsTheQuestion(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	published(t, s, version("early.org.", 1), []byte("x"), 0)
	m := mirror(t, js)
	if got := mirrored(t, m, "early.org."); got.Version != 1 {
		t.Errorf("of what was there before it has %+v", got)
	}
	var revision uint64
	for n := range int64(300) {
		revision = published(t, s, version(zone, n+1), []byte("x"), revision)
		if got := mirrored(t, m, zone); got.Version != n+1 {
			t.Fatalf("has version %d, %d was published", got.Version, n+1)
		}
	}
	newest, err := m.Newest(t.Context())
	if err != nil || len(newest) != 2 {
		t.Errorf("%d zones, %v", len(newest), err)
	}
}

// What the mirror knows without asking is good for a publication; of what it may not
// know, or not all of, it says nothing.
func TestMirrorKnows(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	if _, _, ok := versions.NewMirror(js).Known(zone); ok {
		t.Error("knows before it has read anything")
	}
	m := mirror(t, js)
	eventually.True(t, "nothing is known to be there", func() bool {
		v, revision, ok := m.Known(zone)
		return ok && v.Version == 0 && revision == 0
	})
	first := published(t, s, version(zone, 1), []byte("x"), 0)
	eventually.True(t, "the version is known with its revision", func() bool {
		v, revision, ok := m.Known(zone)
		return ok && v.Version == 1 && revision == first
	})
	base := version(zone, 2)
	base.Object = "x"
	delta, err := base.Follow(3, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PublishDelta(t.Context(), delta, first); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "a delta is to be asked for", func() bool {
		_, _, ok := m.Known(zone)
		return !ok
	})
}

// A mirror that has lost its bucket, or has not the whole of it, says so; it never
// answers with fewer zones than there are.
func TestMirrorOfABucketThatIsLost(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	m := mirror(t, js)
	published(t, s, version(zone, 7), []byte("x"), 0)
	if got := mirrored(t, m, zone); got.Version != 7 {
		t.Fatalf("%+v", got)
	}
	// A stream of NATS 2.15 that is deleted while the files of a former one of its name are still being removed comes back
	// with what it held when it is made again: so that goes first.
	bucket, err := js.Stream(t.Context(), "KV_"+broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	if err := bucket.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	brokertest.Empty(t, js)
	if newest, err := m.Newest(t.Context()); err == nil {
		t.Errorf("without a bucket it answers %v", newest)
	}
	if _, err := broker.Ensure(t.Context(), js, brokertest.Config(stack, "primary")); err != nil {
		t.Fatal(err)
	}
	published(t, versions.New(js), version("after.org.", 8), []byte("x"), 0)
	eventually.True(t, "the new bucket is mirrored", func() bool {
		newest, err := m.Newest(t.Context())
		return err == nil && newest["after.org."].Version == 8
	})
	newest, err := m.Newest(t.Context())
	if _, old := newest[zone]; err != nil || old {
		t.Errorf("of the bucket before it still has %v, %v", newest[zone], err)
	}
}

// Entries that are gone without a marker are gone from the mirror too.
func TestMirrorOfAPurgedBucket(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	m := mirror(t, js)
	published(t, s, version(zone, 1), []byte("x"), 0)
	published(t, s, version("removed.org.", 1), []byte("x"), 0)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), pdns.ZoneKey("removed.org.")); err != nil {
		t.Fatal(err)
	}
	if newest, err := m.Newest(t.Context()); err != nil || len(newest) != 1 {
		t.Errorf("after a removal: %v, %v", newest, err)
	}
	stream, err := js.Stream(t.Context(), "KV_"+broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the purge shows", func() bool {
		newest, err := m.Newest(t.Context())
		return err == nil && len(newest) == 0
	})
}

// An entry that something else wrote is told with how to remove it.
func TestMirrorTellsOfABadEntry(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	m := mirror(t, js)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.PutString(t.Context(), "example.org", "what is this?"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Newest(t.Context()); err == nil {
		t.Error("a bad entry is no error")
	}
	published(t, versions.New(js), version("fine.org.", 1), []byte("x"), 0)
	if err := kv.Purge(t.Context(), "example.org"); err != nil {
		t.Fatal(err)
	}
	if got := mirrored(t, m, "fine.org."); got.Version != 1 {
		t.Errorf("after its removal: %+v", got)
	}
}

func TestListsAreReadAsTheyWereWrittenAndPruned(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	var list []pdns.Catalogued
	for i := range 20_000 {
		list = append(list, pdns.Catalogued{Zone: fmt.Sprintf("z%d.example.", i), Version: int64(i), Serial: uint32(i)})
	}
	name, err := s.PublishList(t.Context(), "catalogue", list)
	if err != nil {
		t.Fatal(err)
	}
	var back []pdns.Catalogued
	if err := s.ReadList(t.Context(), name, &back); err != nil || !slices.Equal(back, list) {
		t.Fatalf("%d lines, %v", len(back), err)
	}
	for _, young := range []time.Duration{time.Hour, -time.Hour} { // older than content may be: a check repairs for long
		if err := s.Prune(t.Context(), young); err != nil {
			t.Fatal(err)
		}
		if err := s.ReadList(t.Context(), name, &back); err != nil {
			t.Errorf("a young list is pruned: %v", err)
		}
	}
	if err := s.Prune(t.Context(), -2*time.Hour-time.Second); err != nil {
		t.Fatal(err)
	}
	if err := s.ReadList(t.Context(), name, &back); !errors.Is(err, versions.ErrGone) {
		t.Errorf("an old list: %v", err)
	}
}

// What cannot be written leaves no list behind, and no goroutine.
func TestListThatCannotBeWritten(t *testing.T) {
	s := versions.New(brokertest.Fresh(t, stack))
	if name, err := s.PublishList(t.Context(), "catalogue", func() {}); err == nil {
		t.Errorf("published as %s", name)
	}
}
