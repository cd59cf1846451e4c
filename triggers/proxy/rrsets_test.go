package proxy

import (
	"net/http"
	"reflect"
	"sync"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// TestRRsetsOfAChange follows what requests say that they change to those who are
// told of it, and into the events.
func TestRRsetsOfAChange(t *testing.T) {
	const set = `{"name":"WWW.example.org.","type":"a","changetype":"REPLACE","ttl":60,"records":[]}`
	www := []pdns.RRsetName{{Name: "www.example.org.", Type: "A"}}
	js := &fakeNATS{}
	cfg := testConfig(t, backend(t, answer(http.StatusNoContent)), js)
	var mu sync.Mutex
	told := map[string][]pdns.RRsetName{}
	cfg.Changed = func(_ string, _ pdns.ChangeKind, id string, rrsets []pdns.RRsetName, _ string) {
		mu.Lock()
		defer mu.Unlock()
		told[id] = rrsets
	}
	p := start(t, cfg)
	for _, c := range []struct {
		method, path, body string
		want               []pdns.RRsetName
	}{
		{"PATCH", zonePath, `{"rrsets":[` + set + `]}`, www},
		{"PATCH", zonePath, `{}`, nil},
		{"PATCH", zonePath, ``, nil},
		// More than these RRsets changes.
		{"PUT", zonePath, `{"rrsets":[` + set + `]}`, nil},
		{"POST", zonesPath, `{"name":"example.org.","rrsets":[` + set + `]}`, nil},
		{"DELETE", zonePath, `{"rrsets":[` + set + `]}`, nil},
		{"PUT", zonePath + "/rectify", `{"rrsets":[` + set + `]}`, nil},
	} {
		before := len(js.list())
		res, _ := p.call(c.method, c.path, c.body)
		waitFor(t, "the event", func() bool { return len(js.list()) > before })
		id := res.Header.Get(HeaderChangeID)
		mu.Lock()
		got, isTold := told[id]
		mu.Unlock()
		if !isTold || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s %s %s: told of %v, want %v", c.method, c.path, c.body, got, c.want)
		}
		if e := js.list()[before]; e.ChangeID != id || !reflect.DeepEqual(e.RRsets, c.want) {
			t.Errorf("%s %s %s: the event has %v, want %v", c.method, c.path, c.body, e.RRsets, c.want)
		}
	}
}
