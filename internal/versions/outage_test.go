package versions_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// A zone of 5 MB goes and comes in pieces, with a secondary's rights too.
func TestLargeContentStreams(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s, content := versions.New(js), noise(5<<20, 7)
	r := &watched{r: bytes.NewReader(content)}
	if _, err := s.Publish(t.Context(), version(zone, 1), r, 0); err != nil {
		t.Fatal(err)
	}
	if r.largest > 1<<20 {
		t.Errorf("content was read %d bytes at once", r.largest)
	}
	_, secondary := brokertest.Connect(t, stack, "secondary-1")
	reader := versions.New(secondary)
	v, _, err := reader.Newest(t.Context(), zone)
	if err != nil || v.Size != 5<<20 {
		t.Fatalf("newest is %+v, %v", v, err)
	}
	if back, err := opened(t, reader, v); err != nil || !bytes.Equal(back, content) {
		t.Errorf("%d bytes back, %v", len(back), err)
	}
	// A reader that stops early holds up nobody.
	for range 3 {
		r, err := reader.Open(t.Context(), v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
			t.Error(err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

type watched struct {
	r       io.Reader
	largest int
}

func (w *watched) Read(p []byte) (int, error) {
	w.largest = max(w.largest, len(p))
	return w.r.Read(p)
}

func TestContentThatFailsIsNotPublished(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	broken := errors.New("transfer broke off")
	for _, size := range []int{10, 300 << 10} {
		content := io.MultiReader(bytes.NewReader(noise(size, 1)), &failing{broken})
		if _, err := s.Publish(t.Context(), version(zone, 1), content, 0); !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v", size, err)
		}
		if _, _, err := s.Newest(t.Context(), zone); !errors.Is(err, versions.ErrNone) {
			t.Errorf("after %d bytes: newest says %v", size, err)
		}
		eventually.True(t, "the broken upload is gone", func() bool { return messages(t, js) == 0 })
	}
}

// The library may store the pieces of an object in another order than they were sent in.
func TestAnObjectThatIsNotWhatWasWrittenIsNotPublished(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(shuffled{js})
	if _, err := s.Publish(t.Context(), version(zone, 1), bytes.NewReader(noise(300<<10, 1)), 0); !errors.Is(err, jetstream.ErrDigestMismatch) {
		t.Errorf("published: %v", err)
	}
	if _, _, err := s.Newest(t.Context(), zone); !errors.Is(err, versions.ErrNone) {
		t.Errorf("newest says %v", err)
	}
	if names := objects(t, js); len(names) > 0 {
		t.Errorf("left behind: %v", names)
	}
}

// shuffled exchanges the first two pieces of each object after it was written.
type shuffled struct{ jetstream.JetStream }

func (s shuffled) ObjectStore(ctx context.Context, bucket string) (jetstream.ObjectStore, error) {
	store, err := s.JetStream.ObjectStore(ctx, bucket)
	return shuffledStore{store, s.JetStream}, err
}

type shuffledStore struct {
	jetstream.ObjectStore
	js jetstream.JetStream
}

func (s shuffledStore) Put(ctx context.Context, meta jetstream.ObjectMeta, r io.Reader) (*jetstream.ObjectInfo, error) {
	info, err := s.ObjectStore.Put(ctx, meta, r)
	if err != nil {
		return nil, err
	}
	subject := "$O." + broker.BucketSnapshots + ".C." + info.NUID
	stream, err := s.js.Stream(ctx, "OBJ_"+broker.BucketSnapshots)
	if err != nil {
		return nil, err
	}
	var pieces [][]byte
	for seq := uint64(1); len(pieces) < int(info.Chunks); seq++ {
		if message, err := stream.GetMsg(ctx, seq); err == nil && message.Subject == subject {
			pieces = append(pieces, message.Data)
		}
	}
	pieces[0], pieces[1] = pieces[1], pieces[0]
	if err := stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
		return nil, err
	}
	for _, piece := range pieces {
		if _, err := s.js.Publish(ctx, subject, piece); err != nil {
			return nil, err
		}
	}
	return info, nil
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestStopAndStartOfNATS(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	small, large := version("small.org.", 1), version("large.org.", 1)
	published(t, s, small, []byte("x"), 0)
	published(t, s, large, noise(1<<20, 1), 0)
	for _, away := range []struct {
		how     string
		stop    func()
		back    func()
		seconds int
	}{
		{"stopped", func() { stack.Stop(t, "nats") }, func() { stack.StartProc(t, "nats") }, 1},
		{"killed", func() { stack.Kill(t, "nats") }, func() { stack.StartProc(t, "nats") }, 1},
		{"hanging", func() { stack.Pause(t, "nats") }, func() { stack.Resume(t, "nats") }, 6},
	} {
		away.stop()
		began := time.Now()
		failed := map[string]error{}
		_, _, failed["Newest"] = s.Newest(t.Context(), "small.org.")
		if took := time.Since(began); took > time.Duration(away.seconds)*time.Second {
			t.Errorf("%s: asking took %v", away.how, took)
		}
		if away.how != "hanging" {
			_, failed["Open"] = s.Open(t.Context(), small)
			_, failed["All"] = list(t, s)
			_, failed["Publish"] = s.Publish(t.Context(), version("new.org.", 1), unsized(nil), 0)
			failed["Prune"] = s.Prune(t.Context(), 0)
		}
		away.back()
		for what, err := range failed {
			if err == nil || errors.Is(err, versions.ErrNone) || errors.Is(err, versions.ErrGone) || errors.Is(err, versions.ErrConflict) {
				t.Errorf("%s: %s says %v", away.how, what, err)
			}
		}
		eventually.True(t, "NATS answers again", func() bool {
			_, _, err := s.Newest(t.Context(), "small.org.")
			return err == nil
		})
		all, err := list(t, s)
		if err != nil || len(all) != 2 {
			t.Errorf("%s: then All lists %v, %v", away.how, all, err)
		}
		if back, err := opened(t, s, large); err != nil || len(back) != 1<<20 {
			t.Errorf("%s: then the large zone has %d bytes, %v", away.how, len(back), err)
		}
	}
}

// NATS goes while a large zone is read and while all are listed: both must end
// with an error, never short.
func TestNATSGoesWhileReading(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	for i := range 600 { // more than are on their way at once
		published(t, s, version(fmt.Sprintf("zone-%d.org.", i), 1), noise(100<<10, 1), 0)
	}
	published(t, s, version(zone, 1), noise(20<<20, 1), 0)
	large, _, err := s.Newest(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	r, err := s.Open(ctx, large)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	if _, err := io.CopyN(io.Discard, r, 1000); err != nil {
		t.Fatal(err)
	}
	var seen []pdns.Version
	var ended error
	for v, err := range s.All(ctx) {
		if len(seen) == 0 {
			stack.Stop(t, "nats")
		}
		if ended = err; err == nil {
			seen = append(seen, v)
		}
	}
	n, readErr := io.Copy(io.Discard, r)
	stack.StartProc(t, "nats")
	if ended == nil && len(seen) != 601 {
		t.Errorf("All ended without an error after %d of 601", len(seen))
	}
	if readErr == nil && n != 20<<20-1000 {
		t.Errorf("reading ended without an error after %d bytes", n)
	}
	t.Logf("All: %d entries, then %v; Open: %d bytes, then %v", len(seen), ended, n, readErr)
}

// NATS comes back at once, but what was under way when it went has no answer any
// more: nothing may wait for that as long as an activity may take.
func TestNATSGoesAndComesBackMeanwhile(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s, content := versions.New(js), noise(20<<20, 1)
	published(t, s, version(zone, 1), content, 0)
	large, revision, err := s.Newest(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	restart := func() {
		stack.Kill(t, "nats")
		stack.StartProc(t, "nats")
	}
	const soon = 30 * time.Second // reading goes on after a while
	for what, ask := range map[string]func() error{
		"Newest": func() error {
			return paused(t, func() error {
				_, _, err := s.Newest(ctx, zone)
				return err
			})
		},
		"Open": func() error { return paused(t, func() error { return openAndClose(ctx, s, large) }) },
		// One that has not opened any object yet asks for more.
		"the first Open": func() error { return paused(t, func() error { return openAndClose(ctx, versions.New(js), large) }) },
		"Publish": func() error {
			_, err := s.Publish(ctx, version(zone, 2), &midway{r: bytes.NewReader(content), left: 5 << 20, then: restart}, revision)
			return err
		},
		"reading": func() error {
			back, err := s.Open(ctx, large)
			if err != nil {
				return err
			}
			defer func() { _ = back.Close() }()
			got, err := io.ReadAll(&midway{r: back, left: 5 << 20, then: restart})
			if err == nil && !bytes.Equal(got, content) {
				t.Errorf("Open: other content without an error, %d bytes", len(got))
			}
			return err
		},
	} {
		began := time.Now()
		err := ask()
		took := time.Since(began)
		t.Logf("%s ended after %v: %v", what, took, err)
		if took > soon {
			t.Errorf("%s took %v", what, took)
		}
		eventually.True(t, "NATS answers again", func() bool {
			_, _, err := s.Newest(t.Context(), zone)
			return err == nil
		})
	}
}

// paused asks while NATS hangs.
func paused(t *testing.T, ask func() error) error {
	stack.Pause(t, "nats")
	defer stack.Resume(t, "nats")
	return ask()
}

func openAndClose(ctx context.Context, s *versions.Store, v pdns.Version) error {
	back, err := s.Open(ctx, v)
	if err != nil {
		return err
	}
	return back.Close()
}

// NATS hangs while a large zone is read, or asked for: whoever reads it holds the zone's lock, so neither may wait as long
// as all of it may take.
func TestNATSHangsWhileAnObjectIsRead(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	published(t, s, version(zone, 1), noise(40<<20, 1), 0)
	large, _, err := s.Newest(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	const soon = 20 * time.Second // not the ten minutes that all of it has
	back, err := s.Open(t.Context(), large)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, back, 1000); err != nil {
		t.Fatal(err)
	}
	stack.Pause(t, "nats")
	defer stack.Resume(t, "nats")
	for what, ask := range map[string]func() error{
		"reading on": func() error {
			_, err := io.Copy(io.Discard, back)
			return errors.Join(err, back.Close())
		},
		"opening": func() error {
			_, err := s.Open(t.Context(), large)
			return err
		},
	} {
		began := time.Now()
		if err := ask(); err == nil {
			t.Errorf("%s: no error", what)
		}
		if took := time.Since(began); took > soon {
			t.Errorf("%s took %v", what, took)
		}
	}
}

// midway does something in the midst of reading.
type midway struct {
	r    io.Reader
	left int
	then func()
}

func (m *midway) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.left > 0 {
		if m.left -= n; m.left <= 0 {
			m.then()
		}
	}
	return n, err
}
