package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.etcd.io/bbolt"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// crashDir and crashBackend make the test binary a proxy that a test may kill:
// one for which NATS never answers.
const (
	crashDir     = "PROXY_TEST_STATE_DIR"
	crashBackend = "PROXY_TEST_BACKEND"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		p, err := New(Config{
			Listen: "127.0.0.1:0", StateDir: dir, PowerDNS: os.Getenv(crashBackend), Primary: "primary-1",
			Publisher: &fakeNATS{fault: hang}, Subjects: testSubjects, Registerer: prometheus.NewRegistry(),
			// The parent reads the address from the log.
			Log: slog.New(slog.NewTextHandler(os.Stdout, nil)),
		})
		if err == nil {
			err = p.Run(context.Background())
		}
		fmt.Println("ended:", err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// victim starts a proxy as a process of its own; kill ends it as kill -9 does.
func victim(t *testing.T, dir, backend string) (r *running, kill func()) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir, crashBackend+"="+backend)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dead := make(chan struct{})
	kill = sync.OnceFunc(func() {
		_ = cmd.Process.Kill()
		<-dead
	})
	t.Cleanup(kill)
	var log strings.Builder
	buf := make([]byte, 1024)
	for !strings.Contains(log.String(), "listen=127.0.0.1:") {
		n, err := out.Read(buf)
		log.Write(buf[:n])
		if err != nil {
			close(dead)
			t.Fatalf("%v: %s", err, log.String())
		}
	}
	go func() {
		defer close(dead)
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // "signal: killed"
	}()
	_, address, _ := strings.Cut(log.String(), "listen=")
	address, _, _ = strings.Cut(address, " ")
	roots := trust(t, filepath.Join(dir, "proxy.crt"))
	r = &running{t: t, url: "https://" + address, roots: roots}
	r.client = tlsClient(roots)
	return r, kill
}

// TestKillAfterAnswer kills the proxy between PowerDNS's answer and the event.
func TestKillAfterAnswer(t *testing.T) {
	dir, url := t.TempDir(), backend(t, answer(http.StatusNoContent))
	dying, kill := victim(t, dir, url)
	res, _ := dying.call("PATCH", zonePath, "{}")
	kill()

	events := restart(t, dir, url)
	if len(events) != 1 || events[0].Zone != "example.org." || events[0].ChangeID != res.Header.Get(HeaderChangeID) {
		t.Errorf("events after the restart: %+v", events)
	}
}

// TestKillDuringRequest kills it while PowerDNS works. PowerDNS goes on, and
// may be done only after the first event: a second one follows.
func TestKillDuringRequest(t *testing.T) {
	for _, c := range [][3]string{{"PATCH", zonePath, "{}"}, {"POST", zonesPath, `{"name":"example.org."}`}} {
		working, finish := make(chan struct{}), make(chan struct{})
		dir, url := t.TempDir(), backend(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			close(working)
			<-finish
		})
		dying, kill := victim(t, dir, url)
		go func() {
			<-working
			kill()
		}()
		req, _ := http.NewRequestWithContext(t.Context(), c[0], dying.url+c[1], strings.NewReader(c[2]))
		if res, err := dying.client.Do(req); err == nil {
			t.Fatalf("got an answer: %s", res.Status)
		}
		close(finish)
		if events := restart(t, dir, url); len(events) != 1 || events[0].Zone != "example.org." {
			t.Errorf("events after the restart: %+v", events)
		}
	}
}

// restart opens the outbox anew, returns the events that come at once, and holds
// that all intents are noted for a second event.
func restart(t *testing.T, dir, url string) []published {
	t.Helper()
	js := &fakeNATS{}
	cfg := testConfig(t, url, js)
	cfg.StateDir = dir
	p := start(t, cfg)
	var page []intent
	eventually.True(t, "the second events to be noted", func() bool {
		var err error
		if page, _, err = p.relay.outbox.page(nil, 10); err != nil {
			t.Fatal(err)
		}
		return len(page) == 1 && !page[0].Due.IsZero()
	})
	if in := time.Until(page[0].Due); in > secondLook || in < secondLook/2 {
		t.Errorf("the second event is due in %s", in)
	}
	return js.list()
}

// newTestRelay returns a relay on a new outbox; events go to publish.
func newTestRelay(t *testing.T, publish func(context.Context, intent) error) *relay {
	t.Helper()
	o, err := openOutbox(filepath.Join(t.TempDir(), "outbox.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMetrics(prometheus.NewRegistry(), o.pending)
	if err != nil {
		t.Fatal(err)
	}
	r := newRelay(o, publish, m, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// TestSecondEvent is sent when it is due and not before, under an ID of its own.
func TestSecondEvent(t *testing.T) {
	js := &fakeNATS{}
	r := newTestRelay(t, publishTo(js, testSubjects, "primary-1", nil))
	change, err := r.begin(t.Context(), "example.org.", pdns.ChangeModify, true)
	if err != nil {
		t.Fatal(err)
	}
	change.settle(true)
	var noted intent
	eventually.True(t, "the second event to be noted", func() bool {
		page, _, err := r.outbox.page(nil, 10)
		if err != nil {
			t.Fatal(err)
		}
		noted = page[0]
		return !noted.Due.IsZero()
	})
	if err := r.drain(t.Context()); err != nil || len(js.list()) != 1 {
		t.Fatalf("%v, events: %+v", err, js.list())
	}
	noted.Due = time.Now()
	if err := r.outbox.put(noted); err != nil {
		t.Fatal(err)
	}
	if err := r.drain(t.Context()); err != nil || len(js.list()) != 2 {
		t.Fatalf("%v, events: %+v", err, js.list())
	}
	// What was exported for the first change is no answer to the second.
	if sent := js.list(); sent[0].ChangeID != change.ChangeID || sent[1].ChangeID == change.ChangeID {
		t.Errorf("events: %+v", sent)
	}
	eventually.True(t, "the outbox to be empty", func() bool { return r.outbox.pending() == 0 })
}

// TestSecondEventOfSeveral is sent under the ID of a change that has had none, and
// may still be of a delete.
func TestSecondEventOfSeveral(t *testing.T) {
	js := &fakeNATS{}
	r := newTestRelay(t, publishTo(js, testSubjects, "primary-1", nil))
	for _, i := range []intent{
		{ChangeID: "1", Kind: pdns.ChangeDelete},
		{ChangeID: "2", Kind: pdns.ChangeModify, Later: true},
		{ChangeID: "3", Kind: pdns.ChangeModify, Later: true, Due: time.Now()},
	} {
		i.Zone, i.CreatedAt = "example.org.", time.Now()
		if err := r.outbox.put(i); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "the others to be removed", func() bool { return r.outbox.pending() == 1 })
	page, _, err := r.outbox.page(nil, 10)
	if err != nil || page[0].ChangeID != "2" || page[0].Kind != pdns.ChangeDelete || page[0].Due.IsZero() {
		t.Errorf("%v, noted: %+v", err, page)
	}
	if sent := js.list(); len(sent) != 1 || sent[0].subject != testSubjects.Delete {
		t.Errorf("events: %+v", sent)
	}
}

// TestDrainCoalesces sends one event a zone, under an ID of its own and as a delete
// where one of its changes is.
func TestDrainCoalesces(t *testing.T) {
	var mu sync.Mutex
	sent := map[string][]intent{}
	away := true
	r := newTestRelay(t, func(_ context.Context, i intent) error {
		mu.Lock()
		defer mu.Unlock()
		if away {
			return errors.New("away")
		}
		sent[i.Zone] = append(sent[i.Zone], i)
		return nil
	})
	began := map[string]bool{}
	const changes = 60
	for n := range changes {
		kind := pdns.ChangeModify
		if n < 3 {
			kind = pdns.ChangeDelete
		}
		change, err := r.begin(t.Context(), fmt.Sprintf("z%d.example.", n%3), kind, false)
		if err != nil {
			t.Fatal(err)
		}
		began[change.ChangeID] = true
		change.settle(true)
	}
	eventually.True(t, "all to fail", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return len(r.busy) == 0
	})
	if err := r.drain(t.Context()); err == nil {
		t.Error("a drain without NATS succeeded")
	}
	mu.Lock()
	away = false
	mu.Unlock()
	if err := r.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n := range 3 {
		got := sent[fmt.Sprintf("z%d.example.", n)]
		if len(got) != 1 || got[0].ChangeID == "" || began[got[0].ChangeID] || got[0].Kind != pdns.ChangeDelete {
			t.Errorf("zone %d: %+v", n, got)
		}
	}
	eventually.True(t, "the outbox to be empty", func() bool { return r.outbox.pending() == 0 })
}

// TestDrainInPages drains more than one page.
func TestDrainInPages(t *testing.T) {
	sent := make(chan intent, 3*drainPage)
	r := newTestRelay(t, func(_ context.Context, i intent) error {
		sent <- i
		return nil
	})
	const zones = 2*drainPage + 7
	var wg sync.WaitGroup
	for n := range zones {
		wg.Go(func() {
			i := intent{ChangeID: fmt.Sprintf("%05d", n), Zone: fmt.Sprintf("z%d.example.", n), CreatedAt: time.Now()}
			if err := r.outbox.put(i); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if r.outbox.pending() != zones {
		t.Errorf("%d pending", r.outbox.pending())
	}
	if err := r.drain(t.Context()); err != nil || len(sent) != zones {
		t.Errorf("%v, %d sent", err, len(sent))
	}
}

// TestDrainLeavesRequestsAlone does not publish before PowerDNS has answered.
func TestDrainLeavesRequestsAlone(t *testing.T) {
	r := newTestRelay(t, func(context.Context, intent) error {
		t.Error("published")
		return nil
	})
	change, err := r.begin(t.Context(), "example.org.", pdns.ChangeModify, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	change.settle(false)
	change.settle(true) // too late
	eventually.True(t, "the outbox to be empty", func() bool { return r.outbox.pending() == 0 })
}

// TestUnreadableEntry does not hold up the others.
func TestUnreadableEntry(t *testing.T) {
	sent := make(chan intent, 1)
	r := newTestRelay(t, func(_ context.Context, i intent) error {
		sent <- i
		return nil
	})
	err := r.outbox.db.Update(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketIntents).Put([]byte("0"), []byte("garbage"))
	})
	if err := errors.Join(err, r.outbox.put(intent{ChangeID: "1", Zone: "example.org.", CreatedAt: time.Now()})); err != nil {
		t.Fatal(err)
	}
	if err := r.drain(t.Context()); err != nil || len(sent) != 1 {
		t.Errorf("%v, %d sent", err, len(sent))
	}
}

// TestOutboxReopened counts what stands in it, and belongs to one process.
func TestOutboxReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "outbox.db")
	o, err := openOutbox(path, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"1", "2", "2"} {
		if err := o.put(intent{ChangeID: id, Zone: "z."}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := openOutbox(path, 0); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("opened twice: %v", err)
	}
	if err := o.close(); err != nil {
		t.Fatal(err)
	}
	if o, err = openOutbox(path, 0); err != nil {
		t.Fatal(err)
	}
	defer o.close()
	if o.pending() != 2 {
		t.Errorf("%d pending", o.pending())
	}
	if err := o.remove("1", "1", "3"); err != nil || o.pending() != 1 {
		t.Errorf("%v, %d pending", err, o.pending())
	}
}

// BenchmarkIntent is the cost that each change pays before it is forwarded.
func BenchmarkIntent(b *testing.B) {
	o, err := openOutbox(filepath.Join(b.TempDir(), "outbox.db"), 0)
	if err != nil {
		b.Fatal(err)
	}
	defer o.close()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := o.put(intent{ChangeID: "id", Zone: "example.org."}); err != nil {
				b.Error(err)
			}
		}
	})
}
