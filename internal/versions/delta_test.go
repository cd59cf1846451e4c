package versions_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// followed publishes a delta of the newest version.
func followed(t *testing.T, s *versions.Store, number int64) pdns.Version {
	t.Helper()
	base, revision, err := s.Newest(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	delta, err := base.Follow(number, uint32(number), []pdns.RRset{{Name: zone, Type: "SOA", Records: []string{"a. b. 1 2 3 4 5"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.PublishDelta(t.Context(), delta, revision); err != nil {
		t.Fatal(err)
	}
	return delta
}

// A delta is the newest version, has its base's content and no other, and keeps it.
func TestADeltaKeepsItsBase(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	content := noise(200<<10, 1)
	published(t, s, version(zone, 1), noise(200<<10, 0), published(t, s, version(zone, 1), content, 0))
	revision := published(t, s, version(zone, 2), content, 2)
	followed(t, s, 3)
	delta := followed(t, s, 4)
	newest, at, err := s.Newest(t.Context(), zone)
	if err != nil || newest.Version != 4 || !newest.Unproven() || len(newest.Delta.Chain) != 2 || len(newest.Delta.Sets) != 1 {
		t.Fatalf("the newest is %+v, %v", newest, err)
	}
	if err := s.Prune(t.Context(), -time.Second); err != nil {
		t.Fatal(err)
	}
	if left := objects(t, js); len(left) != 1 || left[0] != newest.Delta.Object {
		t.Errorf("left are %v, want the base's alone, %s", left, newest.Delta.Object)
	}
	if back, err := opened(t, s, newest.BaseVersion()); err != nil || !bytes.Equal(back, content) {
		t.Errorf("the base has %d bytes, %v", len(back), err)
	}
	if _, err := opened(t, s, newest); err == nil {
		t.Error("a delta was opened as if it had all of its content")
	}
	// A reader that knows no deltas takes what follows the header for the content.
	unaware := newest
	unaware.Delta = nil
	if back, err := opened(t, s, unaware); err == nil && len(back) > 0 {
		t.Errorf("a reader that knows no deltas gets %d bytes of another version", len(back))
	}
	if _, err := s.PublishDelta(t.Context(), delta, revision); !errors.Is(err, versions.ErrConflict) {
		t.Errorf("published over a later one: %v", err)
	}
	if _, err := s.PublishDelta(t.Context(), version(zone, 5), at); err == nil {
		t.Error("published without its content what is no delta")
	}

	// Proven: the same number, with content of its own.
	proven := newest
	proven.Digest = "read"
	published(t, s, proven, content, at)
	newest, _, err = s.Newest(t.Context(), zone)
	if err != nil || newest.Version != 4 || newest.Unproven() || newest.Object == "" || newest.Object == delta.Delta.Object {
		t.Fatalf("the newest is %+v, %v", newest, err)
	}
	if err := s.Prune(t.Context(), -time.Second); err != nil {
		t.Fatal(err)
	}
	if left := objects(t, js); len(left) != 1 || left[0] != newest.Object {
		t.Errorf("left are %v, want %s", left, newest.Object)
	}
}

// The mirror of all versions holds no content.
func TestTheMirrorHoldsNoRRsets(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	published(t, s, version(zone, 1), noise(200<<10, 1), 0)
	followed(t, s, 2)
	mirror := versions.NewMirror(js)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); mirror.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	newest, err := mirror.Newest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if v := newest[zone]; v.Version != 2 || !v.Unproven() || len(v.Delta.Sets)+len(v.Delta.Chain) > 0 {
		t.Errorf("the mirror has %+v", v)
	}
}
