package proxy

import (
	"net/http"
	"reflect"
	"sync"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// TestWhatAChangeSays follows what requests say that they change, or make, to those who
// are told of it, and the RRsets into the events.
func TestWhatAChangeSays(t *testing.T) {
	const set = `{"name":"WWW.example.org.","type":"a","changetype":"REPLACE","ttl":60,"records":[]}`
	www := []pdns.RRsetName{{Name: "www.example.org.", Type: "A"}}
	js := &fakeNATS{}
	cfg := testConfig(t, backend(t, answer(http.StatusNoContent)), js)
	var mu sync.Mutex
	told := map[string]pdns.Call{}
	cfg.Changed = func(call pdns.Call) {
		mu.Lock()
		defer mu.Unlock()
		told[call.ChangeID] = call
	}
	p := start(t, cfg)
	for _, c := range []struct {
		method, path, body string
		want               []pdns.RRsetName
		made               pdns.Settings
	}{
		{"PATCH", zonePath, `{"rrsets":[` + set + `]}`, www, pdns.Settings{}},
		{"PATCH", zonePath, `{}`, nil, pdns.Settings{}},
		{"PATCH", zonePath, `{"kind":"Native","rrsets":[` + set + `]}`, www, pdns.Settings{}},
		{"PATCH", zonePath, ``, nil, pdns.Settings{}},
		// More than these RRsets changes.
		{"PUT", zonePath, `{"kind":"Native","rrsets":[` + set + `]}`, nil, pdns.Settings{}},
		{"POST", zonesPath, `{"name":"example.org.","rrsets":[` + set + `]}`, nil, pdns.Settings{}},
		{"POST", zonesPath, `{"account":"a","kind":"Slave","name":"example.org.","kind":"Native","x":{"kind":"y"}}`, nil, pdns.Settings{Kind: "Native", Account: "a"}},
		{"POST", zonesPath, `{"kind":["Native"],"name":"example.org.","account":1}`, nil, pdns.Settings{}},
		{"DELETE", zonePath, `{"rrsets":[` + set + `]}`, nil, pdns.Settings{}},
		{"PUT", zonePath + "/rectify", `{"rrsets":[` + set + `]}`, nil, pdns.Settings{}},
	} {
		before := len(js.list())
		res, _ := p.call(c.method, c.path, c.body)
		eventually.True(t, "the event", func() bool { return len(js.list()) > before })
		id := res.Header.Get(HeaderChangeID)
		mu.Lock()
		got, isTold := told[id]
		mu.Unlock()
		if !isTold || !reflect.DeepEqual(got.RRsets, c.want) || got.Made != c.made {
			t.Errorf("%s %s %s: told of %v, made with %+v, want %v and %+v", c.method, c.path, c.body, got.RRsets, got.Made, c.want, c.made)
		}
		if e := js.list()[before]; e.ChangeID != id || !reflect.DeepEqual(e.RRsets, c.want) {
			t.Errorf("%s %s %s: the event has %v, want %v", c.method, c.path, c.body, e.RRsets, c.want)
		}
	}
}
