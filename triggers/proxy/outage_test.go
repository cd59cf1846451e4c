package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
)

// TestFullOutbox refuses changes and goes on with reads.
func TestFullOutbox(t *testing.T) {
	js := &fakeNATS{fault: func(context.Context) error { return errors.New("away") }}
	var forwarded atomic.Int64
	cfg := testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err == nil && r.Method != "GET" {
			forwarded.Add(1)
		}
	}), js)
	cfg.maxOutbox = 64 << 10
	p := start(t, cfg)
	taken := int64(0)
	for ; ; taken++ {
		res, body := p.call("PATCH", zonePath, "{}")
		if res.StatusCode == http.StatusOK {
			continue
		}
		if res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "not forwarded") || !strings.Contains(body, "host.state_dir") {
			t.Errorf("%s %s", res.Status, body)
		}
		break
	}
	for _, c := range [][3]string{{"POST", zonesPath, `{"name":"z."}`}, {"DELETE", zonePath, ""}} {
		if res, body := p.call(c[0], c[1], c[2]); res.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "not forwarded") {
			t.Errorf("%s: %s %s", c[0], res.Status, body)
		}
	}
	if res, _ := p.call("GET", zonePath, ""); res.StatusCode != http.StatusOK {
		t.Errorf("a read got %s", res.Status)
	}
	if taken == 0 || forwarded.Load() != taken {
		t.Errorf("%d changes taken, %d forwarded", taken, forwarded.Load())
	}
	// What it took it still has, and room comes with the first events.
	js.setFault(nil)
	p.Drain()
	eventually.True(t, "an event", func() bool { return len(js.list()) > 0 })
	p.idle()
	if res, _ := p.call("PATCH", zonePath, "{}"); res.StatusCode != http.StatusOK {
		t.Errorf("with room again: %s", res.Status)
	}
}

// TestNATSHangs answers clients while no publication ever ends.
func TestNATSHangs(t *testing.T) {
	release := make(chan struct{})
	js := &fakeNATS{fault: func(context.Context) error {
		<-release
		return errors.New("hung")
	}}
	p := start(t, testConfig(t, backend(t, answer(http.StatusNoContent)), js))
	var clients errgroup.Group
	clients.SetLimit(32) // more connections at once than that a busy host does not take within the bound of a dial
	const changes = 3 * maxPublishing
	for n := range changes {
		clients.Go(func() error {
			if res, _ := p.call("PATCH", fmt.Sprintf("%s/z%d.example.", zonesPath, n), "{}"); res.StatusCode != http.StatusNoContent {
				return fmt.Errorf("answered %s", res.Status)
			}
			return nil
		})
	}
	if err := clients.Wait(); err != nil {
		t.Error(err)
	}
	if n := p.relay.outbox.pending(); n != changes {
		t.Errorf("%d changes pending", n)
	}
	js.setFault(nil)
	close(release)
	p.Drain()
	p.idle()
	zones := map[string]bool{}
	for _, e := range js.list() {
		zones[e.Zone] = true
	}
	if len(zones) != changes {
		t.Errorf("events for %d zones", len(zones))
	}
}

// TestKeyIsNeverLogged also when it comes in the query, as PowerDNS allows.
func TestKeyIsNeverLogged(t *testing.T) {
	p := start(t, testConfig(t, backend(t, answer(http.StatusInternalServerError)), &fakeNATS{}))
	p.call("PATCH", zonePath+"?api-key="+apiKey, "{}")
	conn := p.dial(t)
	fmt.Fprintf(conn, "GET /api?api-key=%s;a=1 HTTP/1.1\r\nHost: x\r\nX-API-Key: %s\r\nContent-Length: %s\r\n\r\n", apiKey, apiKey, apiKey)
	if _, err := io.ReadAll(bufio.NewReader(conn)); err != nil && !errors.Is(err, io.EOF) {
		t.Log(err)
	}
	p.idle()
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if log := p.logged(); bytes.Contains([]byte(log), []byte(apiKey)) {
		t.Error(log)
	}
}
