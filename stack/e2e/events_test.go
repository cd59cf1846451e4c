package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	outside "github.com/pdns-distribute/pdns-distribute/stack/client"
)

// event is what the proxy publishes: a contract with other programs.
type event struct {
	Zone      string    `json:"zone"`
	CreatedAt time.Time `json:"created_at"`
	ChangeID  string    `json:"change_id"`
	Primary   string    `json:"primary"`
}

type heard struct {
	subject string
	event   event
}

// listen hears all zone events from now on.
func listen(t testing.TB) <-chan heard {
	t.Helper()
	js, err := broker()
	must(t, err)
	events := make(chan heard, 10_000)
	sub, err := js.Conn().Subscribe("zone.*", func(m *nats.Msg) {
		h := heard{subject: m.Subject}
		if m.Subject != "zone.dead" && json.Unmarshal(m.Data, &h.event) == nil {
			events <- h
		}
	})
	must(t, err)
	must(t, js.Conn().Flush())
	t.Cleanup(func() { must(t, sub.Unsubscribe()) })
	return events
}

// next waits for the next event of a zone whose name ends like this.
func next(t testing.TB, events <-chan heard, suffix string) heard {
	t.Helper()
	deadline := time.After(soon)
	for {
		select {
		case h := <-events:
			if strings.HasSuffix(h.event.Zone, suffix) {
				return h
			}
		case <-deadline:
			t.Fatalf("no event of a zone %s", suffix)
		}
	}
}

// Every change that the proxy lets through has one event, under the change ID that its answer names.
func TestEventsOfChanges(t *testing.T) {
	parallel(t)
	const zone = "a.events.example."
	events := listen(t)
	steps := []struct {
		subject string
		do      func() reply
	}{
		{"zone.add", func() reply { return primary.call(t, http.MethodPost, "/zones", newZone(zone, 1)) }},
		{"zone.modified", func() reply { return primary.patch(t, zone, set("www."+zone, "A", "192.0.2.1")) }},
		{"zone.modified", func() reply {
			return primary.call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
		}},
		{"zone.modified", func() reply { return primary.call(t, http.MethodPut, "/zones/"+zone+"/rectify", nil) }},
		{"zone.delete", func() reply { return primary.call(t, http.MethodDelete, "/zones/"+zone, nil) }},
	}
	for i, step := range steps {
		// Reads and refused changes in between have none.
		primary.zone(t, zone)
		refused, err := primary.do(t.Context(), http.MethodPatch, "/zones/"+zone, patchOf(set("www.elsewhere.example.", "A", "192.0.2.1")))
		must(t, err)
		if refused.status/100 != 4 {
			t.Errorf("a change of a name outside the zone: %s", refused)
		}
		before := time.Now()
		answer := step.do()
		h := next(t, events, zone)
		if h.subject != step.subject || h.event.Zone != zone || h.event.Primary != "primary-1" {
			t.Errorf("step %d: event %+v, want %s", i, h, step.subject)
		}
		if id := answer.header.Get("X-Change-Id"); id == "" || id != h.event.ChangeID {
			t.Errorf("step %d: the answer names change %q, the event %q", i, id, h.event.ChangeID)
		}
		if age := h.event.CreatedAt.Sub(before); age < -time.Second || age > soon {
			t.Errorf("step %d: created at %s", i, h.event.CreatedAt)
		}
	}
}

// What the proxy answers to a request that PowerDNS refuses is PowerDNS's own answer, and no event follows.
func TestRefusedRequests(t *testing.T) {
	parallel(t)
	const zone, marker = "real.refused.example.", "marker.refused.example."
	events := listen(t)
	primary.create(t, zone, 1)
	waitServed(t, zone, 1)
	next(t, events, zone) // the secondaries may be quicker than the event
	const base = "/api/v1/servers/localhost"
	good := http.Header{"X-Api-Key": {env["API_KEY"]}}
	cases := map[string]struct {
		method, path string
		body         any
		header       http.Header
		status       int
	}{
		"wrong key":            {http.MethodPatch, "/zones/" + zone, patchOf(soa(zone, 2)), http.Header{"X-Api-Key": {"wrong"}}, 401},
		"no key":               {http.MethodDelete, "/zones/" + zone, nil, http.Header{}, 401},
		"unknown zone, read":   {http.MethodGet, "/zones/nothing.refused.example.", nil, good, 404},
		"unknown zone, PATCH":  {http.MethodPatch, "/zones/nothing.refused.example.", patchOf(soa("nothing.refused.example.", 2)), good, 404},
		"unknown zone, DELETE": {http.MethodDelete, "/zones/nothing.refused.example.", nil, good, 404},
		"zone exists":          {http.MethodPost, "/zones", newZone(zone, 1), good, 409},
		"no JSON":              {http.MethodPatch, "/zones/" + zone, []byte("{not JSON"), good, 400},
		"JSON, no object":      {http.MethodPost, "/zones", []byte(`[1,2,3]`), good, 0},
		"name is no name":      {http.MethodPost, "/zones", []byte(`{"name":7,"kind":"Native"}`), good, 0},
		"name without dot":     {http.MethodPost, "/zones", []byte(`{"name":"dotless.refused.example","kind":"Native"}`), good, 422},
		"bad record":           {http.MethodPatch, "/zones/" + zone, patchOf(set(zone, "A", "not an address")), good, 422},
		"no such route":        {http.MethodPost, "/zones/" + zone + "/nonsense", []byte("{}"), good, 0},
		"wrong method":         {http.MethodPut, "/zones", []byte("{}"), good, 0},
		"binary":               {http.MethodPatch, "/zones/" + zone, []byte{0, 1, 2, 0xff, 0xfe}, good, 400},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			through, err := primary.request(t.Context(), c.method, base+c.path, c.body, c.header.Clone())
			must(t, err)
			straight, err := direct.request(t.Context(), c.method, base+c.path, c.body, c.header.Clone())
			must(t, err)
			if through.status != straight.status || string(through.body) != string(straight.body) {
				t.Errorf("through the proxy: %s; straight: %s", through, straight)
			}
			if through.status/100 == 2 || c.status != 0 && through.status != c.status {
				t.Errorf("%s, want %d", through, c.status)
			}
		})
	}
	// Whatever those had published would come before this one.
	primary.create(t, marker, 1)
	if h := next(t, events, ".refused.example."); h.event.Zone != marker {
		t.Errorf("an event follows from a refused request: %+v", h)
	}
	must(t, servesSerial(t.Context(), zone, 1, secondaries...))
}

// Requests that are too large are refused with a clear status, and the proxy goes on.
func TestOversizedRequests(t *testing.T) {
	parallel(t)
	const zone = "oversized.example."
	primary.create(t, zone, 1)
	const base = "/api/v1/servers/localhost/zones/"
	// Above what the proxy takes of a request's head, and few enough octets to be sent before it answers.
	large := strings.Repeat("x", 192<<10)
	// By HTTP/2 a client learns of that limit, and Go's does not even send what is above it once it knows.
	client, err := outside.HTTPS(env["API_CA"], 2*time.Minute)
	must(t, err)
	transport := client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2, transport.Protocols = false, new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	t.Cleanup(transport.CloseIdleConnections)
	byHTTP1 := *primary
	byHTTP1.client = client
	key := http.Header{"X-Api-Key": {env["API_KEY"]}}
	with := key.Clone()
	with.Set("X-Large", large)
	for name, c := range map[string]struct {
		server *nameserver
		path   string
		body   []byte
		header http.Header
		status []int
	}{
		"header": {&byHTTP1, zone, []byte("{}"), with, []int{http.StatusRequestHeaderFieldsTooLarge}},
		"path":   {&byHTTP1, large, []byte("{}"), key, []int{http.StatusRequestHeaderFieldsTooLarge}},
		// Above PowerDNS's webserver-max-bodysize of 100 MB: it answers, or closes the connection to the proxy before that.
		"body": {primary, zone, make([]byte, 110<<20), key, []int{http.StatusBadRequest, http.StatusBadGateway}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := c.server.request(t.Context(), http.MethodPatch, base+c.path, c.body, c.header)
			must(t, err)
			must(t, wants(slices.Contains(c.status, r.status), "%s, want %d", r, c.status))
		})
	}
	if r, err := primary.request(t.Context(), http.MethodPatch, base+zone, []byte("{}"), with); r.status != http.StatusRequestHeaderFieldsTooLarge &&
		(err == nil || !strings.Contains(err.Error(), "larger than peer's advertised limit")) {
		t.Errorf("a large header by HTTP/2: %s, %v", r, err)
	}
	primary.patch(t, zone, soa(zone, 2))
	waitServed(t, zone, 2)
}

// Events that can never work go to the dead letters, each with its reason, and hold up no other.
func TestDeadEvents(t *testing.T) {
	parallel(t)
	const zone = "good.dead.example."
	direct.create(t, zone, 1) // past the proxy: only the event below tells of it
	js, err := broker()
	must(t, err)
	bad := map[string][]byte{
		"no JSON":             []byte("garbage-7f3a"),
		"binary":              {0, 1, 2, 3, 0xff},
		"empty":               {},
		"JSON, no object":     []byte(`["zone"]`),
		"no zone":             []byte(`{"change_id":"dead-no-zone"}`),
		"zone is a number":    []byte(`{"zone":17}`),
		"label too long":      []byte(`{"zone":"` + strings.Repeat("x", 64) + `.example."}`),
		"name too long":       []byte(`{"zone":"` + strings.Repeat("x.", 200) + `example."}`),
		"empty label":         []byte(`{"zone":"a..example."}`),
		"large and no object": []byte(`"` + strings.Repeat("y", 900<<10) + `"`),
	}
	for name, data := range bad {
		_, err := js.Publish(t.Context(), "zone.modified", data)
		must(t, err)
		until(t, soon, func() error { return dead(t.Context(), js, data) })
		t.Logf("%s: dead", name)
	}
	// A large event is no bad event: what is not known is passed over.
	_, err = js.Publish(t.Context(), "zone.modified", []byte(`{"zone":"`+zone+`","padding":"`+strings.Repeat("z", 500<<10)+`"}`))
	must(t, err)
	waitServed(t, zone, 1)
	// Another program's event: nothing but the zone, in upper case and without its dot.
	direct.patch(t, zone, soa(zone, 2))
	_, err = js.Publish(t.Context(), "zone.modified", []byte(`{"zone":"GOOD.dead.Example"}`))
	must(t, err)
	waitServed(t, zone, 2)
}

// deadHead is how much of an event the dead letters keep.
const deadHead = 64 << 10

// dead returns nil when the dead letters hold this event, or its head, with a reason.
func dead(ctx context.Context, js jetstream.JetStream, data []byte) error {
	stream, err := js.Stream(ctx, "ZONE_DEAD")
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx)
	if err != nil {
		return err
	}
	for seq := info.State.LastSeq; seq >= max(1, info.State.FirstSeq) && seq > 0; seq-- {
		m, err := stream.GetMsg(ctx, seq)
		if err != nil {
			return err
		}
		if string(m.Data) != string(data[:min(len(data), deadHead)]) {
			continue
		}
		if reason := m.Header.Get("Pdns-Distribute-Reason"); len(reason) < 10 || m.Header.Get("Pdns-Distribute-Subject") != "zone.modified" {
			return fmt.Errorf("dead letter %d: headers %v", seq, m.Header)
		}
		return nil
	}
	return fmt.Errorf("%d dead letters, this one not among them: %.60q", info.State.Msgs, data)
}

// An event for a zone that no primary has ends with a clear word, and nothing is made of it.
func TestEventOfUnknownZone(t *testing.T) {
	parallel(t)
	const zone = "never.existed.example."
	js, err := broker()
	must(t, err)
	_, err = js.Publish(t.Context(), "zone.modified", []byte(`{"zone":"`+zone+`"}`))
	must(t, err)
	waitStatus(t, zone, func(s syncStatus) error {
		return wants(s.Outcome == "failed" && strings.Contains(s.Error, zone) && s.Version == 0, "want it to say that there is no such zone")
	})
	must(t, notServed(t.Context(), zone, secondaries...))
}
