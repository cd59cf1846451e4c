package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
)

func scanAll(t *testing.T, r io.Reader) string {
	t.Helper()
	s := newNameScan()
	if _, err := io.Copy(struct{ io.Writer }{s}, r); err != nil {
		t.Fatal(err)
	}
	return s.finish()
}

func TestNameScan(t *testing.T) {
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
			if got := scanAll(t, r); got != want {
				t.Errorf("%.60s: got %q, want %q", body, got, want)
			}
		}
	}
}

// TestNameScanCutsNoEscape tries every place of an escape at the cut.
func TestNameScanCutsNoEscape(t *testing.T) {
	for _, escape := range []string{`\"`, `\\`, `\n`, `\u00e9`, `\ud83d\ude00`} {
		for before := maxToken - 14; before < maxToken+3; before++ {
			body := `{"zone":"` + strings.Repeat("x", before) + escape + `yyyyyyyyyy` + escape + `","name":"z."}`
			if got := scanAll(t, strings.NewReader(body)); got != "z." {
				t.Errorf("%s after %d octets: got %q", escape, before, got)
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

// TestNameScanMemory sends what would fill the memory of a plain decoder.
func TestNameScanMemory(t *testing.T) {
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

func FuzzNameScan(f *testing.F) {
	f.Add([]byte(`{"name":"a.","x":[1,{"name":"\u0041"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		want, err := readName(bytes.NewReader(data))
		if err != nil {
			want = ""
		}
		if got := scanAll(t, bytes.NewReader(data)); got != want && len(data) < maxToken {
			t.Errorf("got %q, without shortening %q", got, want)
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
		})
		if _, err := io.Copy(&out, iotest.OneByteReader(b)); err != nil {
			t.Fatal(err)
		}
		if f := b.end(); asked != 1 || out.String() != content || f != (fate{passed: true}) {
			t.Errorf("asked %d times, passed on %q, %+v", asked, out.String(), f)
		}
	}
}

func TestBodyRefused(t *testing.T) {
	refusal := errors.New("disk full")
	for _, length := range []int64{13, -1} {
		b := newBody(request(`{"name":"z."}`, length), func(string) error { return refusal })
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
	})
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
