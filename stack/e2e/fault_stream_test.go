package e2e

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

const (
	streamZones = 10
	// streamPause between two changes: a modest rate, since several systems share the cores, and the faults are to decide, not
	// the load.
	streamPause = 200 * time.Millisecond
)

// stream is a client that changes zones through the api-proxy, one request after the other, and keeps book of the answers.
type stream struct {
	site   *site
	random *rand.Rand
	stop   context.CancelFunc
	ended  chan struct{}

	mu    sync.Mutex
	tally tally
}

// tally is how the requests of a stream ended.
type tally struct {
	taken, refused, unclear int
	slowest                 time.Duration
	first                   string // what the first that was not taken was answered
}

// book is what the client knows of one zone.
type book struct {
	zone    string
	ballast []rrset // what the zone holds besides
	exists  bool
	serial  int
	// possible are the contents of TXT www that the zone may have: the last that got a 2xx, and those of later requests
	// without a clear answer. "" stands for no zone.
	possible []string
}

// startStream begins to change the site's zones; pause is the time between two changes. One stream runs at a time.
func (s *site) startStream(t testing.TB, pause time.Duration) *stream {
	t.Helper()
	seed := uint64(time.Now().UnixNano())
	t.Logf("random seed %d", seed)
	ctx, cancel := context.WithCancel(t.Context())
	f := &stream{site: s, random: rand.New(rand.NewPCG(seed, 0)), stop: cancel, ended: make(chan struct{})}
	go f.run(ctx, pause)
	t.Cleanup(func() { f.end() })
	return f
}

// ballast is so much, and so random, that a zone's compressed content is above what rides in a message (128 KiB).
func ballast(zone string) []rrset {
	var sets []rrset
	random := rand.NewChaCha8([32]byte{})
	for i := range 900 {
		noise := make([]byte, 180)
		_, _ = random.Read(noise) // never fails
		sets = append(sets, set(fmt.Sprintf("r%d.%s", i, zone), "TXT", `"`+base64.RawStdEncoding.EncodeToString(noise)+`"`))
	}
	return sets
}

// newBooks are those of zones that are not there yet.
func newBooks() []*book {
	var books []*book
	for i := range streamZones {
		books = append(books, &book{zone: fmt.Sprintf("z%02d.fault.example.", i), possible: []string{""}})
	}
	books[0].ballast = ballast(books[0].zone)
	return books
}

func (f *stream) run(ctx context.Context, pause time.Duration) {
	defer close(f.ended)
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for ctx.Err() == nil {
		f.site.changes++
		// A request that has begun is brought to its end: a client that goes away is another test's.
		f.change(context.WithoutCancel(ctx), f.site.books[f.random.IntN(len(f.site.books))], f.site.changes)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// change creates the zone, or deletes it or changes a record. Serials begin anew with each creation, as in a restored
// backup, so that most of them stand for several contents.
func (f *stream) change(ctx context.Context, b *book, number int) {
	text, serial := fmt.Sprintf(`"%d"`, number), b.serial+1
	method, path, body := http.MethodPatch, "/zones/"+zoneID(b.zone), any(nil)
	switch {
	case !b.exists:
		method, path, serial = http.MethodPost, "/zones", 1
		body = newZone(b.zone, 1, append(b.ballast, set("www."+b.zone, "TXT", text))...)
	case f.random.IntN(8) == 0:
		method, text, serial = http.MethodDelete, "", 0
	default:
		body = patchOf(set("www."+b.zone, "TXT", text), soa(b.zone, uint32(serial)))
	}
	began := time.Now()
	r, err := f.site.proxies[f.random.IntN(len(f.site.proxies))].do(ctx, method, path, body)
	took := time.Since(began)
	if others := b.otherwise(); err == nil && len(others) > 0 && notAsThought(method, r.status) {
		b.exists, b.possible = !b.exists, others // an earlier request without a clear answer was carried out, or was not
		f.change(ctx, b, number)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tally.slowest = max(f.tally.slowest, took)
	if err == nil && r.status/100 == 2 {
		f.tally.taken++
		b.exists, b.serial, b.possible = text != "", serial, []string{text}
		return
	}
	if f.tally.first == "" {
		f.tally.first = fmt.Sprintf("%s %s: %s %v", method, path, r, err)
	}
	if err == nil && r.status/100 == 4 {
		f.tally.refused++
		return
	}
	f.tally.unclear++
	b.possible = append(b.possible, text)
}

// otherwise are those of the possible contents that the zone has when it exists although we think not, or the other way round.
func (b *book) otherwise() []string {
	var others []string
	for _, text := range b.possible {
		if (text != "") != b.exists {
			others = append(others, text)
		}
	}
	return others
}

// notAsThought tells whether PowerDNS refused a request since the zone is there, or is not.
func notAsThought(method string, status int) bool {
	if method == http.MethodPost {
		return status == http.StatusConflict
	}
	return status == http.StatusNotFound || status == http.StatusUnprocessableEntity
}

// wait waits until so many more requests have ended.
func (f *stream) wait(t testing.TB, requests int) {
	t.Helper()
	f.until(t, requests, tally.ended)
}

// waitTaken waits until so many more requests have got a 2xx.
func (f *stream) waitTaken(t testing.TB, requests int) {
	t.Helper()
	f.until(t, requests, func(c tally) int { return c.taken })
}

func (f *stream) until(t testing.TB, more int, count func(tally) int) {
	t.Helper()
	enough := count(f.soFar()) + more
	until(t, time.Minute, func() error {
		now := f.soFar()
		return wants(count(now) >= enough, "the client is stuck: %s", now)
	})
}

func (f *stream) soFar() tally {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tally
}

// end stops the stream, waits for the last answer and returns the tally.
func (f *stream) end() tally {
	f.stop()
	<-f.ended
	return f.soFar()
}

// nothingLost wants each zone at the primary as the last 2xx left it, or as a later request without a clear answer did.
// The secondaries are compared with the primary; this compares the primary with what clients were told.
func (s *site) nothingLost(t testing.TB) {
	t.Helper()
	for _, b := range s.books {
		held, err := s.held(t.Context(), b.zone)
		must(t, err)
		if !slices.Contains(b.possible, held) {
			t.Errorf("the primary holds %s with %q, clients were told one of %q", b.zone, held, b.possible)
		}
	}
}

func (c tally) ended() int { return c.taken + c.refused + c.unclear }

func (c tally) String() string {
	text := fmt.Sprintf("%d calls with 2xx, %d refused, %d without a clear answer, the slowest took %s", c.taken, c.refused, c.unclear, c.slowest.Round(time.Millisecond))
	if c.first != "" {
		text += "; the first that failed: " + c.first
	}
	return text
}
