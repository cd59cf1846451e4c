package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	outside "github.com/pdns-distribute/pdns-distribute/stack/client"
)

// nameserver is one PowerDNS: where it answers questions and where its API is.
type nameserver struct {
	name   string
	dns    string
	url    string
	key    string
	client *http.Client
	// changes lets one changing request at a time through: on SQLite, PowerDNS 4.7 answers concurrent ones with 500.
	changes *sync.Mutex
}

// reply is an API's answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d %s", r.status, bytes.TrimSpace(r.body)) }

// An RRset and a record as the API takes and gives them.
type (
	rrset  = outside.RRset
	record = outside.Record
)

// zone is what the tests read of a zone in the API.
type zone struct {
	Name    string   `json:"name"`
	Kind    string   `json:"kind"`
	Account string   `json:"account"`
	Masters []string `json:"masters"`
	Serial  uint32   `json:"serial"`
	DNSSEC  bool     `json:"dnssec"`
	RRsets  []rrset  `json:"rrsets"`
}

// do sends one request to path below /api/v1/servers/localhost. body is sent as it is when it is []byte, else as JSON.
func (n *nameserver) do(ctx context.Context, method, path string, body any) (reply, error) {
	if method != http.MethodGet {
		n.changes.Lock()
		defer n.changes.Unlock()
	}
	return n.request(ctx, method, "/api/v1/servers/localhost"+path, body, http.Header{"X-Api-Key": {n.key}})
}

// request sends one request to a full path with just these headers.
func (n *nameserver) request(ctx context.Context, method, path string, body any, header http.Header) (reply, error) {
	data, raw := body.([]byte)
	if !raw && body != nil {
		var err error
		if data, err = json.Marshal(body); err != nil {
			return reply{}, err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, n.url+path, bytes.NewReader(data))
	if err != nil {
		return reply{}, err
	}
	req.Header = header
	resp, err := n.client.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", n.name, err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, got}, err
}

// call is do that must succeed with a 2xx.
func (n *nameserver) call(t testing.TB, method, path string, body any) reply {
	t.Helper()
	r, err := n.do(t.Context(), method, path, body)
	must(t, err)
	if r.status/100 != 2 {
		t.Fatalf("%s %s on %s: %s", method, path, n.name, r)
	}
	return r
}

// zone reads a zone; found is false when there is none.
func (n *nameserver) zone(t testing.TB, name string) (z zone, found bool) {
	t.Helper()
	r, err := n.do(t.Context(), http.MethodGet, "/zones/"+zoneID(name), nil)
	must(t, err)
	switch r.status {
	case http.StatusOK:
		must(t, json.Unmarshal(r.body, &z))
		return z, true
	case http.StatusNotFound:
		return z, false
	}
	t.Fatalf("zone %s on %s: %s", name, n.name, r)
	return z, false
}

// create makes a Native zone with an SOA of this serial, an NS and these RRsets. The serial stays as it is given.
func (n *nameserver) create(t testing.TB, name string, serial uint32, sets ...rrset) {
	t.Helper()
	n.call(t, http.MethodPost, "/zones", newZone(name, serial, sets...))
}

func newZone(name string, serial uint32, sets ...rrset) map[string]any {
	all := append([]rrset{soa(name, serial), set(name, "NS", "ns1.example.net.", "ns2.example.net.")}, sets...)
	return map[string]any{"name": name, "kind": "Native", "soa_edit_api": "", "rrsets": all}
}

// patch replaces RRsets (those without records are deleted).
func (n *nameserver) patch(t testing.TB, name string, sets ...rrset) reply {
	t.Helper()
	return n.call(t, http.MethodPatch, "/zones/"+zoneID(name), patchOf(sets...))
}

func patchOf(sets ...rrset) map[string]any { return outside.Replace(sets...) }

// delete asks again after a 500, as clients must: on SQLite PowerDNS finds its database locked when it is busy.
func (n *nameserver) delete(t testing.TB, name string) {
	t.Helper()
	var r reply
	until(t, soon, func() (err error) {
		r, err = n.do(t.Context(), http.MethodDelete, "/zones/"+zoneID(name), nil)
		return errOr(err, wants(r.status != http.StatusInternalServerError, "DELETE %s on %s: %s", name, n.name, r))
	})
	must(t, wants(r.status/100 == 2, "DELETE %s on %s: %s", name, n.name, r))
}

// set is an RRset with a TTL of 300 s.
func set(name, typ string, contents ...string) rrset { return outside.Set(name, typ, contents...) }

func soa(name string, serial uint32) rrset {
	return set(name, "SOA", fmt.Sprintf("ns1.example.net. hostmaster.example.net. %d 10800 3600 604800 60", serial))
}

// zoneID is a zone's name in the API's paths: what is not a letter, digit, '.', '-' or '_' is =XX (apiZoneNameToId).
func zoneID(name string) string {
	if name == "." {
		return "=2E"
	}
	var id strings.Builder
	for _, c := range []byte(name) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte(".-_", c) >= 0:
			id.WriteByte(c)
		default:
			fmt.Fprintf(&id, "=%02X", c)
		}
	}
	return id.String()
}
