package versions_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestPruneKeepsTheNewestOnly(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	var revision uint64
	for n := range int64(4) {
		revision = published(t, s, version(zone, n+1), noise(200<<10, uint64(n)), revision)
	}
	published(t, s, version("other.org.", 1), noise(200<<10, 9), 0)
	store, err := js.ObjectStore(t.Context(), broker.BucketSnapshots)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.PutString(t.Context(), "an operator's own", "x"); err != nil {
		t.Fatal(err)
	}
	// An upload whose publisher died: chunks without an object.
	if _, err := js.Publish(t.Context(), "$O."+broker.BucketSnapshots+".C.unfinished", make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	before := objects(t, js)
	if err := s.Prune(t.Context(), time.Hour); err != nil {
		t.Fatal(err)
	}
	if after := objects(t, js); !slices.Equal(before, after) {
		t.Errorf("young objects are pruned: %v are left of %v", after, before)
	}
	if err := s.Prune(t.Context(), -time.Second); err != nil {
		t.Fatal(err)
	}
	if after := objects(t, js); len(after) != 3 {
		t.Errorf("left are %v, want the two newest and the operator's own", after)
	}
	// 2 objects of 200 KiB in chunks of 128 KiB, 1 of one chunk, each with its name: nothing else.
	if n := messages(t, js); n != 2*3+2 {
		t.Errorf("%d messages are left: markers or unfinished chunks", n)
	}
	newest, _, err := s.Newest(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	if back, err := opened(t, s, newest); err != nil || !bytes.Equal(back, noise(200<<10, 3)) {
		t.Errorf("the newest has %d bytes, %v", len(back), err)
	}
}

func TestPruneRemovesNothingWhereItCannotAsk(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	published(t, s, version(zone, 1), noise(200<<10, 1), 0)
	if err := js.DeleteKeyValue(t.Context(), broker.BucketZones); err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), -time.Second); err == nil {
		t.Error("pruning without the bucket of versions has no error")
	}
	if left := objects(t, js); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

// Objects of zones without an entry stay: the entries may be about to be restored.
func TestPruneWithoutEntries(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	published(t, s, version(zone, 1), noise(200<<10, 1), 0)
	kv, err := js.KeyValue(t.Context(), broker.BucketZones)
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), pdns.ZoneKey(zone)); err != nil {
		t.Fatal(err)
	}
	if err := s.Prune(t.Context(), -time.Second); err != nil {
		t.Fatal(err)
	}
	if left := objects(t, js); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

func TestPruneByTwoAtOnce(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	var revision uint64
	for n := range int64(20) {
		revision = published(t, s, version(zone, n+1), noise(130<<10, uint64(n)), revision)
	}
	_, other := brokertest.Connect(t, stack, "operator")
	failed := make(chan error, 2)
	for _, js := range []jetstream.JetStream{js, other} {
		go func() { failed <- versions.New(js).Prune(t.Context(), -time.Second) }()
	}
	for range 2 {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
	if left := objects(t, js); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}
