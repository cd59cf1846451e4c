package proxy

import (
	"cmp"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// TestAnswersToCreations follows PowerDNS's answer to the creation of a zone to those who
// are told of it, and to the client, who gets it in any case as it came.
func TestAnswersToCreations(t *testing.T) {
	const created = `{"name":"example.org.","kind":"Native"}`
	const request = `{"name":"example.org.","kind":"Native"}`
	large := created + strings.Repeat(" ", maxAnswer)
	for _, c := range []struct {
		what, method, path, request, answer string
		status                              int
		unknown, broken, kept               bool
	}{
		{what: "created", request: request, answer: created, kept: true},
		{what: "large", request: request, answer: large},
		{what: "from a zone file", request: `{"name":"example.org.","zone":"example.org. 60 IN A 192.0.2.1"}`, answer: created},
		{what: "an RRset in parts", request: `{"name":"example.org.","rrsets":[{"name":"www.example.org.","type":"A"},{"name":"WWW.example.org.","type":"a"}]}`, answer: created},
		{what: "RRsets", request: `{"name":"example.org.","rrsets":[{"name":"www.example.org.","type":"A"},{"name":"www.example.org.","type":"AAAA"}]}`, answer: created, kept: true},
		{what: "RRsets left out", path: zonesPath + "?rrset_name=example.org.", request: request, answer: created},
		{what: "nothing known before", request: request, answer: created, unknown: true},
		{what: "cut short", request: request, answer: created, broken: true},
		{what: "changed", method: "PUT", path: zonePath, request: request, answer: created, status: http.StatusOK},
		{what: "without an answer", request: request},
	} {
		t.Run(c.what, func(t *testing.T) {
			cfg := testConfig(t, backend(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				length := len(c.answer)
				if c.broken {
					length *= 2
				}
				w.Header().Set("Content-Length", strconv.Itoa(length))
				w.WriteHeader(cmp.Or(c.status, http.StatusCreated))
				_, _ = io.WriteString(w, c.answer)
				if c.broken {
					_ = http.NewResponseController(w).Flush()
					panic(http.ErrAbortHandler)
				}
			}), &fakeNATS{})
			var mu sync.Mutex
			var told []pdns.Call
			cfg.Changed = func(call pdns.Call) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, call)
			}
			cfg.Revision = func(zone string) (uint64, bool) { return 7, !c.unknown && zone == "example.org." }
			p := start(t, cfg)
			method, path := cmp.Or(c.method, "POST"), cmp.Or(c.path, zonesPath)
			req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, strings.NewReader(c.request))
			if err != nil {
				t.Fatal(err)
			}
			res, err := p.client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(res.Body)
			if err := res.Body.Close(); err != nil {
				t.Error(err)
			}
			if string(got) != c.answer || (err != nil) != c.broken {
				t.Errorf("the client got %d octets of %d, %v", len(got), len(c.answer), err)
			}
			mu.Lock()
			defer mu.Unlock()
			if len(told) != 1 {
				t.Fatalf("told %d times", len(told))
			}
			if kept := told[0].Answer != nil; kept != c.kept || kept && (string(told[0].Answer) != created || told[0].Before != 7) {
				t.Errorf("told the answer %q after revision %d, want it: %v", told[0].Answer, told[0].Before, c.kept)
			}
		})
	}
}
