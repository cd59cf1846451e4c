package proxy

import (
	"errors"
	"io"
	"net/http"
	"sync"
)

var errAbandoned = errors.New("the request's body is no longer wanted")

// body is a request's body on its way to PowerDNS. It knows when all of it was
// passed on: before that PowerDNS has no complete request and cannot have
// changed anything (4.7.3 answers 400 to a body that breaks off, both with
// Content-Length and chunked).
//
// That is also how the zone's name, and those of the RRsets, are learnt from the
// body without keeping it all: octets go to PowerDNS while they are searched, and
// only the last are held back until the intent is durable.
type body struct {
	io.ReadCloser

	mu   sync.Mutex
	left int64     // octets still to come, -1 when unknown
	scan *bodyScan // nil when nothing is sought
	// found is what it says, once all was passed on.
	found said
	// last is called with the name, empty for none, before the last octets are passed
	// on; its error keeps them back.
	last   func(name string) error
	err    error // of last
	broken error // of reading from the client
	passed bool  // all was passed on
	over   bool
}

// newBody wraps r's body. last may be nil. search has looked for what it says.
func newBody(r *http.Request, last func(name string) error, search bool) *body {
	b := &body{ReadCloser: r.Body, left: r.ContentLength, last: last}
	if r.Body == nil || r.Body == http.NoBody || r.ContentLength == 0 {
		b.passed = true
		return b
	}
	if last != nil || search {
		b.scan = newBodyScan()
	}
	return b
}

func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return 0, errAbandoned
	}
	if b.scan != nil && n > 0 {
		_, _ = b.scan.Write(p[:n]) // its reader never closes before we do
	}
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err != nil && err != io.EOF {
		b.broken = err
	}
	if err == io.EOF || b.left == 0 {
		if e := b.finish(); e != nil {
			b.err = e
			return 0, e
		}
		b.passed = true
	}
	return n, err
}

func (b *body) finish() error {
	if b.scan == nil {
		return nil
	}
	b.found = b.scan.finish()
	b.scan = nil
	if b.last == nil {
		return nil
	}
	return b.last(b.found.name)
}

// says is what it says; nothing before all was passed on.
func (b *body) says() said {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.found
}

// fate is what became of a body.
type fate struct {
	passed bool  // all of it was passed on
	kept   error // why the last octets were kept back
	broken error // why the client's octets ended too early
}

// soFar tells the fate up to now.
func (b *body) soFar() fate {
	b.mu.Lock()
	defer b.mu.Unlock()
	return fate{b.passed, b.err, b.broken}
}

// end says that no more is to be passed on, and tells the fate. The transport
// may still be reading when PowerDNS answered early; what it reads then goes
// nowhere.
func (b *body) end() fate {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	if b.scan != nil {
		b.scan.finish()
		b.scan = nil
	}
	return fate{b.passed, b.err, b.broken}
}
