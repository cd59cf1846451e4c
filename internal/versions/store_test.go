package versions_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// objects returns the names of all objects, removed ones left out.
func objects(t *testing.T, js jetstream.JetStream) []string {
	t.Helper()
	store, err := js.ObjectStore(t.Context(), broker.BucketSnapshots)
	if err != nil {
		t.Fatal(err)
	}
	list, err := store.List(t.Context())
	if err != nil && !errors.Is(err, jetstream.ErrNoObjectsFound) {
		t.Fatal(err)
	}
	var names []string
	for _, o := range list {
		names = append(names, o.Name)
	}
	return names
}

// messages is how many messages the object store holds in all.
func messages(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), "OBJ_"+broker.BucketSnapshots)
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

func TestNoEntryIsToldFromNoBucket(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	if v, revision, err := s.Newest(t.Context(), zone); !errors.Is(err, versions.ErrNone) || revision != 0 || v != (pdns.Version{}) {
		t.Errorf("no entry: %v, %d, %v", v, revision, err)
	}
	before := version(zone, 1)
	if _, err := opened(t, s, before); !errors.Is(err, versions.ErrGone) {
		t.Errorf("open without an entry: %v", err)
	}
	for _, s := range []*versions.Store{s, versions.New(js)} { // one that knows the bucket, one that does not
		if err := js.DeleteKeyValue(t.Context(), broker.BucketZones); err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) {
			t.Fatal(err)
		}
		_, _, err := s.Newest(t.Context(), zone)
		if err == nil || errors.Is(err, versions.ErrNone) || !strings.Contains(err.Error(), "pdns-zones or pdns-snapshots is missing") {
			t.Errorf("no bucket: Newest says %v", err)
		}
		if _, err := opened(t, s, before); err == nil || errors.Is(err, versions.ErrGone) {
			t.Errorf("no bucket: Open says %v", err)
		}
		if _, err := s.Publish(t.Context(), before, unsized(nil), 0); err == nil || errors.Is(err, versions.ErrConflict) {
			t.Errorf("no bucket: Publish says %v", err)
		}
		if list, err := list(t, s); err == nil {
			t.Errorf("no bucket: All lists %v", list)
		}
	}
}

func list(t *testing.T, s *versions.Store) ([]pdns.Version, error) {
	t.Helper()
	var all []pdns.Version
	for v, err := range s.All(t.Context()) {
		if err != nil {
			return all, err
		}
		all = append(all, v)
	}
	return all, nil
}

func TestPublishAndRead(t *testing.T) {
	const limit = 128 << 10
	for _, c := range []struct {
		name     string
		size     int
		asObject bool
	}{
		{"empty", 0, false}, {"small", 100, false}, {"largest inline", limit, false}, {"smallest object", limit + 1, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			js := brokertest.Fresh(t, stack)
			s, content, want := versions.New(js), noise(c.size, 1), version(zone, 10)
			revision := published(t, s, want, content, 0)
			got, read, err := s.Newest(t.Context(), zone)
			if err != nil || read != revision {
				t.Fatalf("revision %d, %v; want %d", read, err, revision)
			}
			if (got.Object != "") != c.asObject || len(objects(t, js)) > 0 != c.asObject {
				t.Errorf("object is %q, objects are %v", got.Object, objects(t, js))
			}
			want.Size, want.Object = int64(c.size), got.Object
			if got != want {
				t.Errorf("newest is %+v, want %+v", got, want)
			}
			for _, v := range []pdns.Version{got, version(zone, 10)} { // as read, and as the publisher knows it
				if back, err := opened(t, s, v); err != nil || !bytes.Equal(back, content) {
					t.Errorf("content of %d bytes, %v; want %d", len(back), err, len(content))
				}
			}
		})
	}
}

func TestReplacedInlineContentIsGone(t *testing.T) {
	s := versions.New(brokertest.Fresh(t, stack))
	old := version(zone, 1)
	revision := published(t, s, old, []byte("old"), 0)
	published(t, s, version(zone, 2), []byte("new"), revision)
	if content, err := opened(t, s, old); !errors.Is(err, versions.ErrGone) {
		t.Errorf("the old version gives %q, %v", content, err)
	}
}

func TestReplacedObjectStaysReadableUntilPruned(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s, first := versions.New(js), noise(300<<10, 1)
	revision := published(t, s, version(zone, 1), first, 0)
	old, _, err := s.Newest(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	published(t, s, version(zone, 2), noise(300<<10, 2), revision)
	if back, err := opened(t, s, old); err != nil || !bytes.Equal(back, first) {
		t.Errorf("%d bytes, %v", len(back), err)
	}
	if err := s.Prune(t.Context(), -1); err != nil {
		t.Fatal(err)
	}
	if _, err := opened(t, s, old); !errors.Is(err, versions.ErrGone) {
		t.Errorf("after pruning: %v", err)
	}
}

func TestTombstone(t *testing.T) {
	s := versions.New(brokertest.Fresh(t, stack))
	revision := published(t, s, version(zone, 1), []byte("x"), 0)
	gone := pdns.Version{Zone: zone, Version: 2, Deleted: true}
	if _, err := s.Publish(t.Context(), gone, unsized(nil), revision); err == nil {
		t.Error("a tombstone with content is published")
	}
	if _, err := s.Publish(t.Context(), version(zone, 2), nil, revision); err == nil {
		t.Error("a version without content is published")
	}
	if _, err := s.Publish(t.Context(), gone, nil, revision); err != nil {
		t.Fatal(err)
	}
	if got, _, err := s.Newest(t.Context(), zone); err != nil || got != gone {
		t.Errorf("newest is %+v, %v", got, err)
	}
	if _, err := s.Open(t.Context(), gone); err == nil {
		t.Error("a tombstone has content")
	}
}

func TestPublishOverADeleteMarker(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	published(t, s, version(zone, 1), []byte("x"), 0)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Delete(t.Context(), pdns.ZoneKey(zone)); err != nil {
		t.Fatal(err)
	}
	if _, revision, err := s.Newest(t.Context(), zone); !errors.Is(err, versions.ErrNone) || revision != 0 {
		t.Errorf("a deleted entry: revision %d, %v", revision, err)
	}
	published(t, s, version(zone, 2), []byte("y"), 0)
}

func TestLoserOfCompareAndSet(t *testing.T) {
	for _, size := range []int{10, 300 << 10} {
		js := brokertest.Fresh(t, stack)
		s := versions.New(js)
		first := published(t, s, version(zone, 1), noise(size, 1), 0)
		// Both read when there was nothing, or the first version; one was quicker.
		for _, stale := range []uint64{0, first} {
			if stale != 0 {
				published(t, s, version(zone, 2), noise(size, 2), first)
			}
			before := objects(t, js)
			_, err := s.Publish(t.Context(), version(zone, 3), unsized(noise(size, 3)), stale)
			if !errors.Is(err, versions.ErrConflict) {
				t.Errorf("%d bytes over revision %d: %v", size, stale, err)
			}
			if after := objects(t, js); !slices.Equal(before, after) {
				t.Errorf("the loser's object stays: %v", after)
			}
		}
		if got, _, err := s.Newest(t.Context(), zone); err != nil || got.Version != 2 {
			t.Errorf("newest is %+v, %v", got, err)
		}
	}
}

func TestManyPublishersOneAfterAnother(t *testing.T) {
	s := versions.New(brokertest.Fresh(t, stack))
	const publishers, each = 4, 10
	var all sync.WaitGroup
	for p := range publishers {
		all.Go(func() {
			for won := 0; won < each; {
				newest, revision, err := s.Newest(t.Context(), zone)
				if err != nil && !errors.Is(err, versions.ErrNone) {
					t.Error(err)
					return
				}
				_, err = s.Publish(t.Context(), version(zone, newest.Version+1), unsized([]byte{byte(p)}), revision)
				switch {
				case err == nil:
					won++
				case !errors.Is(err, versions.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	all.Wait()
	if got, _, err := s.Newest(t.Context(), zone); err != nil || got.Version != publishers*each {
		t.Errorf("newest is version %d, %v; want %d: one was lost", got.Version, err, publishers*each)
	}
}

func TestForeignEntryIsNamedWithItsRemedy(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	s := versions.New(js)
	for _, garbage := range []string{"", "hello", "{}", `{"zone":"other.org.","version":1}` + "\n", `{"zone":"example.org."}`} {
		if _, err := kv.PutString(t.Context(), "example.org", garbage); err != nil {
			t.Fatal(err)
		}
		_, _, err := s.Newest(t.Context(), zone)
		if err == nil || errors.Is(err, versions.ErrNone) || !strings.Contains(err.Error(), "nats kv del pdns-zones example.org") {
			t.Errorf("%q: %v", garbage, err)
		}
		if all, err := list(t, s); err == nil {
			t.Errorf("%q: All lists %v", garbage, all)
		}
	}
}

func TestAll(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	if all, err := list(t, s); err != nil || len(all) != 0 {
		t.Errorf("an empty bucket lists %v, %v", all, err)
	}
	want := make(map[string]bool)
	for i := range 2000 {
		v := version(fmt.Sprintf("zone-%d.example.", i), int64(i)+1)
		want[v.Zone] = true
		published(t, s, v, noise(1000, 1), 0)
	}
	large := version("large.example.", 1)
	want[large.Zone] = true
	published(t, s, large, noise(200<<10, 1), 0)
	_, secondary := brokertest.Connect(t, stack, "secondary-1")
	for _, s := range []*versions.Store{s, versions.New(secondary)} {
		all, err := list(t, s)
		if err != nil || len(all) != len(want) {
			t.Fatalf("listed %d of %d, %v", len(all), len(want), err)
		}
		for _, v := range all {
			if !want[v.Zone] || v.Size == 0 || (v.Object != "") != (v.Zone == large.Zone) {
				t.Errorf("listed %+v", v)
			}
		}
	}
	n := 0
	for range s.All(t.Context()) {
		if n++; n == 3 {
			break
		}
	}
}
