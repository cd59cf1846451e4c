package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func scanAll(t *testing.T, r io.Reader) said {
	t.Helper()
	s := newBodyScan()
	if _, err := io.Copy(struct{ io.Writer }{s}, r); err != nil {
		t.Fatal(err)
	}
	return s.finish()
}

func TestBodyScan(t *testing.T) {
	long := strings.Repeat("x", 3*maxToken)
	for body, want := range map[string]string{
		`{"name":"example.org.","kind":"Native"}`:                    "example.org.",
		` { "kind" : "Native" , "name" : "example.org." } `:          "example.org.",
		`{"rrsets":[{"name":"a."},{"x":{"name":"b."}}],"name":"z."}`: "z.",
		`{"name":"a.","name":"b."}`:                                  "b.",
		`{"name":"a.","name":null}`:                                  "",
		`{"n\u0061me":"a\u002eb."}`:                                  "a.b.",
		`{"n":1e999,"name":"z."}`:                                    "z.",
		`{"n":[],"o":{},"name":"z."}`:                                "z.",
		`{"name":["a."]}`:                                            "",
		`{"name":"a."`:                                               "",
		`{"name":"a.",}`:                                             "",
		`["name","a."]`:                                              "",
		`"name"`:                                                     "",
		`nonsense`:                                                   "",
		``:                                                           "",
		`{}`:                                                         "",
		`{"zone":"` + long + `\"` + long + `","name":"z."}`:                                              "z.",
		`{"n":` + strings.Repeat("1", 2*maxToken) + `,"name":"z."}`:                                      "z.",
		`{"deep":` + strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1) + `,"name":"z."}`: "",
	} {
		for _, r := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body))} {
			if got := scanAll(t, r).name; got != want {
				t.Errorf("%.60s: got %q, want %q", body, got, want)
			}
		}
	}
}

func TestRRsetsInABody(t *testing.T) {
	set := func(name, kind string) string {
		return `{"changetype":"REPLACE","name":"` + name + `","records":[{"content":"192.0.2.1","disabled":false}],"ttl":60,"type":"` + kind + `"}`
	}
	of := func(sets ...string) string { return `{"rrsets":[` + strings.Join(sets, ",") + `]}` }
	many := slices.Repeat([]string{set("a.", "A")}, maxHints)
	for body, want := range map[string][]pdns.RRsetName{
		of(set("www.example.org.", "A")):                                 {{Name: "www.example.org.", Type: "A"}},
		of(set("WWW.example.org", "txt"), set(`*.example.org.`, "AAAA")): {{Name: "www.example.org.", Type: "TXT"}, {Name: "*.example.org.", Type: "AAAA"}},
		of(many...):                         slices.Repeat([]pdns.RRsetName{{Name: "a.", Type: "A"}}, maxHints),
		of(append(many, set("a.", "A"))...): nil,
		of():                                nil,
		of(set("a.", "A"), `{"name":"b."}`): nil,
		of(set("a.", "A"), `{"type":"A"}`):  nil,
		of(set("a.", "A"), `{"name":["b."],"type":"A"}`):                        nil,
		of(set("a.", "A"), `"b."`):                                              nil,
		of(set("a.", "A"), `[{"name":"b.","type":"A"}]`):                        nil,
		of(set("a..b.", "A")):                                                   {{Name: "a.", Type: "A"}},
		of(set("", "A")):                                                        nil,
		`{"rrsets":{"name":"a.","type":"A"}}`:                                   nil,
		`{"rrsets":null,"comments":[]}`:                                         nil,
		`{"rrsets":[` + set("a.", "A") + `],"rrsets":[` + set("b.", "A") + `]}`: {{Name: "b.", Type: "A"}},
		`{"rrsets":[` + set("a.", "A") + `]`:                                    nil,
		`{"rrsets":[` + set("a.", "A") + `,]}`:                                  nil,
	} {
		for _, r := range []io.Reader{strings.NewReader(body), iotest.OneByteReader(strings.NewReader(body))} {
			if got := scanAll(t, r).rrsets; !slices.Equal(got, want) {
				t.Errorf("%.200s: got %v, want %v", body, got, want)
			}
		}
	}
}

// TestBodyScanCutsNoEscape tries every place of an escape at the cut.
func TestBodyScanCutsNoEscape(t *testing.T) {
	for _, escape := range []string{`\"`, `\\`, `\n`, `\u00e9`, `\ud83d\ude00`} {
		for before := maxToken - 14; before < maxToken+3; before++ {
			body := `{"zone":"` + strings.Repeat("x", before) + escape + `yyyyyyyyyy` + escape + `","name":"z."}`
			if got := scanAll(t, strings.NewReader(body)); got.name != "z." {
				t.Errorf("%s after %d octets: got %q", escape, before, got.name)
			}
		}
	}
}

type endless struct{ c byte }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.c
	}
	return len(p), nil
}

// TestBodyScanMemory sends what would fill the memory of a plain decoder.
func TestBodyScanMemory(t *testing.T) {
	const size = 4 << 20
	for _, c := range []byte{'x', '"', '[', '\\', '1', ' ', ','} {
		for _, open := range []string{`{"zone":"`, `{"zone":`} {
			runtime.GC()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			scanAll(t, io.MultiReader(strings.NewReader(open), io.LimitReader(endless{c}, size)))
			runtime.ReadMemStats(&after)
			// The numbers are of all that was ever allocated.
			if grown := after.TotalAlloc - before.TotalAlloc; grown > 1<<20 {
				t.Errorf("%s followed by %d times %q: %d octets allocated", open, size, c, grown)
			}
		}
	}
}

func FuzzBodyScan(f *testing.F) {
	f.Add([]byte(`{"name":"a.","x":[1,{"name":"\u0041"}]}`))
	f.Add([]byte(`{"rrsets":[{"name":"a.","type":"A","records":[{"content":"192.0.2.1"}]},[]]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		want, err := readBody(bytes.NewReader(data))
		if err != nil {
			want = said{}
		}
		if got := scanAll(t, bytes.NewReader(data)); !reflect.DeepEqual(got, want) && len(data) < maxToken {
			t.Errorf("got %v, without shortening %v", got, want)
		}
	})
}

func request(content string, length int64) *http.Request {
	return &http.Request{Body: io.NopCloser(strings.NewReader(content)), ContentLength: length}
}

// TestBodyHoldsBackItsEnd reads as the transport does and looks at what has
// gone out when the intent is written.
func TestBodyHoldsBackItsEnd(t *testing.T) {
	const content = `{"kind":"Native","name":"z."}`
	for _, length := range []int64{int64(len(content)), -1} {
		var out bytes.Buffer
		asked := 0
		b := newBody(request(content, length), func(name string) error {
			asked++
			if name != "z." {
				t.Errorf("name %q", name)
			}
			if length > 0 && out.Len() == len(content) {
				t.Error("all octets have gone out before the intent")
			}
			return nil
		}, false)
		if _, err := io.Copy(&out, iotest.OneByteReader(b)); err != nil {
			t.Fatal(err)
		}
		if f := b.end(); asked != 1 || out.String() != content || f != (fate{passed: true}) {
			t.Errorf("asked %d times, passed on %q, %+v", asked, out.String(), f)
		}
	}
}

// A body that names nothing holds its end back too.
func TestBodyWithoutAName(t *testing.T) {
	var out bytes.Buffer
	b := newBody(request(`{"rrsets":[]}`, 13), func(name string) error {
		if name != "" || out.Len() == 13 {
			t.Errorf("name %q after %q", name, out.String())
		}
		return errors.New("disk full")
	}, false)
	if _, err := io.Copy(&out, iotest.OneByteReader(b)); err == nil || out.Len() == 13 {
		t.Errorf("%v after %q", err, out.String())
	}
}

func TestBodyRefused(t *testing.T) {
	refusal := errors.New("disk full")
	for _, length := range []int64{13, -1} {
		b := newBody(request(`{"name":"z."}`, length), func(string) error { return refusal }, false)
		var out bytes.Buffer
		_, err := io.Copy(&out, iotest.OneByteReader(b))
		if !errors.Is(err, refusal) || length > 0 && out.Len() >= 13 {
			t.Errorf("got %v after %q", err, out.String())
		}
		if f := b.end(); f != (fate{kept: refusal}) {
			t.Errorf("%+v", f)
		}
	}
}

// TestBodyAbandoned ends a body while its last octets are still to come, as
// when PowerDNS answers early.
func TestBodyAbandoned(t *testing.T) {
	b := newBody(request(`{"name":"z."}`, 13), func(string) error {
		t.Error("intent after the end")
		return nil
	}, false)
	if _, err := io.ReadFull(b, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	if f := b.end(); f != (fate{}) {
		t.Errorf("%+v", f)
	}
	if _, err := io.ReadAll(b); !errors.Is(err, errAbandoned) {
		t.Errorf("read after the end: %v", err)
	}
}
