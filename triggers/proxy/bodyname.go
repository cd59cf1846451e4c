package proxy

import (
	"encoding/json"
	"errors"
	"io"
)

// Bounds of what is kept in memory of a body that anybody may send, also
// without an API key. A zone name has 1,004 characters at most, all escaped;
// PowerDNS refuses JSON nested deeper than 200 (json11).
const (
	maxToken = 4096
	maxDepth = 1000
)

// nameScan finds the top-level "name" of a JSON object that is written to it
// piece by piece. Memory stays small, however large the object is.
type nameScan struct {
	io.Writer
	pipe  *io.PipeWriter
	found chan string
}

func newNameScan() *nameScan {
	r, w := io.Pipe()
	s := &nameScan{Writer: &shortener{to: w}, pipe: w, found: make(chan string, 1)}
	go func() {
		name, err := readName(r)
		if err != nil {
			name = ""
		}
		_, _ = io.Copy(io.Discard, r) // a pipe's end is its only error
		s.found <- name
	}()
	return s
}

// finish ends the scan. It returns "" when what was written is no JSON object
// or has no name: PowerDNS refuses such a request. Call it once.
func (s *nameScan) finish() string {
	_ = s.pipe.Close() // never fails
	return <-s.found
}

// readName reads to the end of the object, since of two names PowerDNS takes
// the last (json11, seen with 4.7.3).
func readName(r io.Reader) (string, error) {
	dec := json.NewDecoder(r)
	dec.UseNumber() // 1e999 is JSON
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return "", errors.Join(err, errors.New("no JSON object"))
	}
	name := ""
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return "", err
		}
		value, err := readValue(dec)
		if err != nil {
			return "", err
		}
		if key == "name" {
			name, _ = value.(string)
		}
	}
	_, err := dec.Token()
	return name, err
}

// readValue reads one value and returns it where it is simple.
func readValue(dec *json.Decoder) (json.Token, error) {
	for depth := 0; ; {
		t, err := dec.Token()
		if err != nil {
			return nil, err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return nil, errors.New("JSON is nested too deep")
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		default:
			if depth == 0 {
				return t, nil
			}
		}
		if depth == 0 {
			return nil, nil
		}
	}
}

// shortener passes JSON on with all but the first 4 KiB of each string and
// literal left out, and of blanks all but the first. [json.Decoder] holds a token
// and the blanks before it in memory as a whole, and one can be as large as the
// body: the field "zone" holds a zone file.
type shortener struct {
	to  io.Writer
	out []byte

	inString bool
	inBlanks bool
	escape   bool // the octet before was a backslash
	keeping  bool // and it was passed on
	length   int  // of the string or literal so far
	owed     int  // octets that belong to an escape already passed on, at most
}

func (s *shortener) Write(p []byte) (int, error) {
	s.out = s.out[:0]
	for _, c := range p {
		if s.keep(c) {
			s.out = append(s.out, c)
		}
	}
	if len(s.out) > 0 {
		if _, err := s.to.Write(s.out); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (s *shortener) keep(c byte) bool {
	if s.inString {
		return s.keepInString(c)
	}
	blanksBefore := s.inBlanks
	s.inBlanks = false
	switch c {
	case '"':
		s.inString = true
		s.length, s.owed = 0, 0
		return true
	case ' ', '\t', '\r', '\n':
		s.inBlanks = true
		s.length = 0
		return !blanksBefore
	case '{', '}', '[', ']', ':', ',':
		s.length = 0
		return true
	}
	s.length++
	return s.length <= maxToken
}

// keepInString cuts a string, but never within an escape: \uXXXX has five
// octets after its backslash.
func (s *shortener) keepInString(c byte) bool {
	s.length++
	switch {
	case s.escape:
		s.escape = false
		s.owed--
		return s.keeping
	case c == '"':
		s.inString = false
		s.length = 0
		return true
	case c == '\\':
		s.escape = true
		s.keeping = s.length <= maxToken
		if s.keeping {
			s.owed = 5
		}
		return s.keeping
	}
	s.owed--
	return s.length <= maxToken || s.owed >= 0
}
