package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
)

// TestChangeBecomesEvent follows changes of each kind to their events.
func TestChangeBecomesEvent(t *testing.T) {
	js := &fakeNATS{}
	p := start(t, testConfig(t, backend(t, answer(http.StatusNoContent)), js))
	for _, c := range []struct{ method, path, body, zone, subject string }{
		{"POST", zonesPath, `{"kind":"Native","name":"New.example."}`, "new.example.", "zone.add"},
		{"PATCH", zonesPath + "/EXAMPLE.org", `{}`, "example.org.", "zone.modified"},
		{"PUT", zonesPath + "/0=2F26.2.0.192.in-addr.arpa./rectify", "", "0/26.2.0.192.in-addr.arpa.", "zone.modified"},
		{"POST", "/api/v1/servers/localhost/views/inside", `{"name":"example.org..inside"}`, "example.org.", "zone.modified"},
		{"DELETE", zonePath, "", "example.org.", "zone.delete"},
	} {
		before := len(js.list())
		sent := time.Now()
		res, _ := p.call(c.method, c.path, c.body)
		if res.StatusCode != http.StatusNoContent {
			t.Fatalf("%s %s: %s", c.method, c.path, res.Status)
		}
		eventually.True(t, "the event", func() bool { return len(js.list()) > before })
		e := js.list()[before]
		if e.Zone != c.zone || e.subject != c.subject || e.Primary != "primary-1" || e.CreatedAt.Before(sent.Add(-time.Second)) {
			t.Errorf("%s %s: %+v", c.method, c.path, e)
		}
		id := res.Header.Get(HeaderChangeID)
		if parsed, err := uuid.Parse(id); err != nil || parsed.Version() != 7 || e.ChangeID != id {
			t.Errorf("%s %s: change ID %q, in the event %q, %v", c.method, c.path, id, e.ChangeID, err)
		}
	}
	p.idle()
	if n := len(js.list()); n != 5 {
		t.Errorf("%d events", n)
	}
	if n := p.metric("pdnsdist_proxy_changes_total", "modified"); n != 3 {
		t.Errorf("counted %v modifications", n)
	}
	if n := p.metric("pdnsdist_proxy_requests_total", "2xx", "POST"); n != 2 {
		t.Errorf("counted %v POST requests", n)
	}
	if n := p.metric("pdnsdist_events_published_total", "ok"); n != 5 {
		t.Errorf("counted %v events", n)
	}
}

// TestReadsBecomeNothing makes requests that change no zone.
func TestReadsBecomeNothing(t *testing.T) {
	js := &fakeNATS{}
	p := start(t, testConfig(t, backend(t, answer(http.StatusOK)), js))
	for _, c := range [][2]string{{"GET", zonePath}, {"PUT", zonePath + "/notify"}, {"PUT", "/api/v1/servers/localhost/cache/flush?domain=a."}} {
		if res, _ := p.call(c[0], c[1], ""); res.Header.Get(HeaderChangeID) != "" {
			t.Errorf("%s %s got a change ID", c[0], c[1])
		}
	}
	if n := p.relay.outbox.pending(); n != 0 || len(js.list()) > 0 {
		t.Errorf("%d intents, %d events", n, len(js.list()))
	}
}

// TestIntentBeforeForward looks into the outbox while PowerDNS has the request.
func TestIntentBeforeForward(t *testing.T) {
	var p *running
	seen := make(chan []intent, 2)
	url := backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		page, _, err := p.relay.outbox.page(nil, 10)
		if err != nil {
			t.Error(err)
		}
		seen <- page
	})
	p = start(t, testConfig(t, url, &fakeNATS{}))
	for _, c := range [][3]string{{"PATCH", zonePath, "{}"}, {"POST", zonesPath, `{"name":"example.org."}`}} {
		p.call(c[0], c[1], c[2])
		if page := <-seen; len(page) != 1 || page[0].Zone != "example.org." {
			t.Errorf("%s: %+v", c[0], page)
		}
		p.idle()
	}
}

// TestOutcomes holds which answers of PowerDNS become events.
func TestOutcomes(t *testing.T) {
	for _, c := range []struct {
		method, path, body string
		status             int
		event              bool
	}{
		{"PATCH", zonePath, "{}", 200, true},
		{"PATCH", zonePath, "{}", 500, true},
		{"PATCH", zonePath, "{}", 503, true},
		{"PATCH", zonePath, "{}", 302, true},
		{"PATCH", zonePath, "{}", 400, false},
		{"PATCH", zonePath, "{}", 401, false},
		{"PATCH", zonePath, "{}", 404, false},
		{"PATCH", zonePath, "{}", 413, false},
		{"PATCH", zonePath, "{}", 422, false},
		{"PUT", zonePath, "{}", 422, true},
		{"PUT", zonePath, "{}", 401, false},
		{"POST", zonePath + "/cryptokeys", "{}", 422, true},
		{"DELETE", zonePath, "", 404, false},
		{"DELETE", zonePath, "", 422, false},
		{"POST", zonesPath, `{"name":"example.org."}`, 409, false},
		{"POST", zonesPath, `{"name":"example.org."}`, 422, false},
		{"POST", zonesPath, `{"name":"example.org."}`, 500, true},
		{"POST", zonesPath, `{"name":"no..name"}`, 422, false},
		{"POST", zonesPath, `nonsense`, 400, false},
		{"POST", zonesPath, "", 400, false},
	} {
		t.Run(fmt.Sprintf("%s %s %d", c.method, c.path, c.status), func(t *testing.T) {
			js := &fakeNATS{}
			p := start(t, testConfig(t, backend(t, answer(c.status)), js))
			p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			res, _ := p.call(c.method, c.path, c.body)
			if hasID := res.Header.Get(HeaderChangeID) != ""; res.StatusCode != c.status || hasID != c.event {
				t.Errorf("answered %d, with a change ID: %t", res.StatusCode, hasID)
			}
			p.idle()
			if err := p.stop(); err != nil {
				t.Fatal(err)
			}
			if got := len(js.list()) == 1; got != c.event {
				t.Errorf("events: %+v", js.list())
			}
		})
	}
}

// TestUnnamedChange makes a zone although its name could not be read: counted
// and logged.
func TestUnnamedChange(t *testing.T) {
	p := start(t, testConfig(t, backend(t, answer(http.StatusCreated)), &fakeNATS{}))
	p.call("POST", zonesPath, `{"name":12}`)
	if n := p.metric("pdnsdist_proxy_unnamed_changes_total"); n != 1 || !strings.Contains(p.logged(), "could not read") {
		t.Errorf("counted %v", n)
	}
}

// TestPowerDNSAway: nothing was forwarded, so nothing can have changed.
func TestPowerDNSAway(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	js := &fakeNATS{}
	p := start(t, testConfig(t, "http://"+address, js))
	for _, c := range [][3]string{{"PATCH", zonePath, "{}"}, {"GET", zonePath, ""}, {"POST", zonesPath, `{"name":"z."}`}} {
		res, body := p.call(c[0], c[1], c[2])
		if res.StatusCode != http.StatusBadGateway || !strings.Contains(body, `{"error":"`) || !strings.Contains(body, address) ||
			!strings.Contains(body, "powerdns.api_url") || res.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: %s %s", c[0], res.Status, body)
		}
		if res.Header.Get(HeaderChangeID) != "" {
			t.Errorf("%s got a change ID", c[0])
		}
	}
	p.idle()
	if len(js.list()) > 0 {
		t.Errorf("events: %+v", js.list())
	}
}

// TestPowerDNSDies after it has the whole request: it may have done it.
func TestPowerDNSDies(t *testing.T) {
	js := &fakeNATS{}
	p := start(t, testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		panic(http.ErrAbortHandler)
	}), js))
	res, body := p.call("PATCH", zonePath, "{}")
	if res.StatusCode != http.StatusBadGateway || res.Header.Get(HeaderChangeID) == "" {
		t.Errorf("%s %s", res.Status, body)
	}
	eventually.True(t, "the event", func() bool { return len(js.list()) == 1 })
}

// TestPowerDNSStopsReading and resets the connection without an answer: it
// never had the whole request, although we have read all of it.
func TestPowerDNSStopsReading(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = io.ReadFull(conn, make([]byte, 1000))
			conn.Close() // with octets unread: a reset
		}
	}()
	js := &fakeNATS{}
	p := start(t, testConfig(t, "http://"+listener.Addr().String(), js))
	big := strings.Repeat(" ", 8<<20)
	for _, c := range [][3]string{{"PATCH", zonePath, big}, {"POST", zonesPath, `{"name":"example.org."}` + big}} {
		if res, body := p.call(c[0], c[1], c[2]); res.StatusCode != http.StatusBadGateway {
			t.Errorf("%s %s", res.Status, body)
		}
	}
	p.idle()
	if len(js.list()) > 0 {
		t.Errorf("events: %+v", js.list())
	}
}

// TestAnswerBreaksOff ends the connection within PowerDNS's answer: the status
// is known and the client must see that the body is not whole.
func TestAnswerBreaksOff(t *testing.T) {
	js := &fakeNATS{}
	p := start(t, testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Length", "1000")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}), js))
	req, _ := http.NewRequestWithContext(t.Context(), "PUT", p.url+zonePath, strings.NewReader("{}"))
	res, err := p.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if data, err := io.ReadAll(res.Body); err == nil {
		t.Errorf("read %q as a whole body", data)
	}
	eventually.True(t, "the event", func() bool { return len(js.list()) == 1 })
}

// TestClientBreaksOffItsBody: PowerDNS never has the whole request, so that
// nobody without a key can cause events.
func TestClientBreaksOffItsBody(t *testing.T) {
	js := &fakeNATS{}
	ended := make(chan error, 2)
	p := start(t, testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		ended <- err
	}), js))
	for _, head := range []string{"PATCH " + zonePath, "POST " + zonesPath} {
		conn := p.dial(t)
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{\"name\":\"example.org.\"}", head)
		conn.Close()
		if err := <-ended; err == nil {
			t.Errorf("%s: PowerDNS took the half request for a whole one", head)
		}
	}
	p.idle()
	if len(js.list()) > 0 {
		t.Errorf("events: %+v", js.list())
	}
}

// TestAnswerBeforeTheEnd of the request: what is passed on after it, PowerDNS does not take.
func TestAnswerBeforeTheEnd(t *testing.T) {
	p := start(t, testConfig(t, "http://127.0.0.1:1", &fakeNATS{}))
	x := &exchange{class: classify("PATCH", zonePath)}
	x.body = newBody(request(`{"rrsets":[]}`, 13), func(string) error { return p.begin(t.Context(), x, x.class.zone) }, true)
	req := httptest.NewRequestWithContext(context.WithValue(t.Context(), exchangeKey{}, x), "PATCH", zonePath, nil)
	if err := p.answered(&http.Response{StatusCode: http.StatusInternalServerError, Request: req}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, x.body); err != nil || x.change.Load() == nil {
		t.Fatalf("the rest did not come through, so that nothing was tried: %v", err)
	}
	p.settle(x, x.complete(x.body.end()))
	p.idle()
	if n := p.metric("pdnsdist_proxy_changes_total", "modified"); n != 0 {
		t.Errorf("%g changes", n)
	}
}

// TestClientGoesAway while PowerDNS works: the event comes after PowerDNS is
// done, or the export that it causes would find the old content.
func TestClientGoesAway(t *testing.T) {
	js := &fakeNATS{}
	working, finish := make(chan struct{}), make(chan struct{})
	var done atomic.Bool
	p := start(t, testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(working)
		select {
		case <-finish:
			done.Store(true)
		case <-r.Context().Done():
			t.Error("PowerDNS's request was broken off")
		}
	}), js))
	js.setFault(func(context.Context) error {
		if !done.Load() {
			t.Error("the event came before PowerDNS was done")
		}
		return nil
	})
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "PATCH", p.url+zonePath, strings.NewReader("{}"))
	go func() {
		<-working
		cancel()
	}()
	if _, err := p.client.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	close(finish)
	eventually.True(t, "the event", func() bool { return len(js.list()) == 1 })
}

// A client that does not wait for what it reads says nothing about PowerDNS.
func TestClientOfAReadGoesAway(t *testing.T) {
	working, gone := make(chan struct{}), make(chan struct{})
	p := start(t, testConfig(t, backend(t, func(_ http.ResponseWriter, r *http.Request) {
		close(working)
		<-r.Context().Done()
		close(gone)
	}), &fakeNATS{}))
	ctx, cancel := context.WithCancel(t.Context())
	req, _ := http.NewRequestWithContext(ctx, "GET", p.url+zonesPath, nil)
	go func() {
		<-working
		cancel()
	}()
	if _, err := p.client.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	<-gone // nothing is asked of PowerDNS for nobody
	eventually.True(t, "the request is counted", func() bool { return p.metric("pdnsdist_proxy_requests_total", "4xx", "GET") == 1 })
	if log := p.logged(); strings.Contains(log, "forwarding to the PowerDNS API") {
		t.Error(log)
	}
}
