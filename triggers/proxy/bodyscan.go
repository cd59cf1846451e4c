package proxy

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Bounds of what is kept in memory of a body that anybody may send, also
// without an API key. A zone name has 1,004 characters at most, all escaped;
// PowerDNS refuses JSON nested deeper than 200 (json11).
const (
	maxToken = 4096
	maxDepth = 1000
)

// maxHints is how many RRsets are remembered of what a body changes. A change of
// more is none that anybody brings out alone.
const maxHints = 16

// maxSeen is among how many RRsets one is found that comes twice. An answer with more
// is larger than [maxAnswer].
const maxSeen = 1000

// said is what a body says of the zone that it changes, and of the RRsets.
type said struct {
	// name is its top-level "name"; empty when it is no JSON object or has none:
	// PowerDNS refuses such a request where it needs one.
	name string
	// rrsets are the names and types in its "rrsets"; empty when there are too
	// many, or when one cannot be read.
	rrsets []pdns.RRsetName
	// settings are its top-level "kind" and "account".
	settings pdns.Settings
	// whole says that no RRset comes in parts, as far as is seen: no two elements of its
	// "rrsets" are of one name and type, and it has no "zone", the content as text.
	whole bool
}

// bodyScan finds what a JSON object says that is written to it piece by piece.
// Memory stays small, however large the object is.
type bodyScan struct {
	io.Writer
	pipe  *io.PipeWriter
	found chan said
}

func newBodyScan() *bodyScan {
	r, w := io.Pipe()
	s := &bodyScan{Writer: &shortener{to: w}, pipe: w, found: make(chan said, 1)}
	go func() {
		found, err := readBody(r)
		if err != nil {
			found = said{}
		}
		_, _ = io.Copy(io.Discard, r) // a pipe's end is its only error
		s.found <- found
	}()
	return s
}

// finish ends the scan. Call it once.
func (s *bodyScan) finish() said {
	_ = s.pipe.Close() // never fails
	return <-s.found
}

// readBody reads to the end of the object, since of two values with one key
// PowerDNS takes the last (json11, seen with 4.7.3).
func readBody(r io.Reader) (said, error) {
	dec := json.NewDecoder(r)
	dec.UseNumber() // 1e999 is JSON
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return said{}, errors.Join(err, errors.New("no JSON object"))
	}
	found := said{whole: true}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return said{}, err
		}
		if key == "rrsets" {
			var once bool
			found.rrsets, once, err = readRRsets(dec)
			found.whole = found.whole && once
			if err != nil {
				return said{}, err
			}
			continue
		}
		value, err := readValue(dec)
		if err != nil {
			return said{}, err
		}
		text, _ := value.(string)
		switch key {
		case "name":
			found.name = text
		case "kind":
			found.settings.Kind = text
		case "account":
			found.settings.Account = text
		case "zone":
			found.whole = false
		}
	}
	_, err := dec.Token()
	return found, err
}

// readRRsets reads the value of "rrsets" to its end. once says that all were read, and none
// came twice. An error is one of the JSON.
func readRRsets(dec *json.Decoder) (rrsets []pdns.RRsetName, once bool, err error) {
	readable, seen := true, make(map[pdns.RRsetName]bool)
	once = true
	t, err := dec.Token()
	if t != json.Delim('[') {
		return nil, false, errors.Join(err, readRest(dec, t))
	}
	for dec.More() {
		rrset, err := readRRset(dec)
		if err != nil {
			return nil, false, err
		}
		rrset.Name, err = zoneFromName(rrset.Name)
		readable = readable && err == nil && rrset.Type != ""
		if once = once && readable && !seen[rrset] && len(seen) < maxSeen; once {
			seen[rrset] = true
		}
		if readable && len(rrsets) <= maxHints {
			rrsets = append(rrsets, rrset)
		}
	}
	if !readable || len(rrsets) > maxHints {
		rrsets = nil
	}
	_, err = dec.Token()
	return rrsets, once, err
}

// readRRset reads one element of "rrsets"; what is no object has no name.
func readRRset(dec *json.Decoder) (rrset pdns.RRsetName, err error) {
	t, err := dec.Token()
	if t != json.Delim('{') {
		return rrset, errors.Join(err, readRest(dec, t))
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return rrset, err
		}
		value, err := readValue(dec)
		if err != nil {
			return rrset, err
		}
		text, _ := value.(string)
		switch key {
		case "name":
			rrset.Name = text
		case "type":
			rrset.Type = strings.ToUpper(text)
		}
	}
	_, err = dec.Token()
	return rrset, err
}

// readValue reads one value and returns it where it is simple.
func readValue(dec *json.Decoder) (json.Token, error) {
	t, err := dec.Token()
	if err != nil {
		return nil, err
	}
	if _, begins := t.(json.Delim); begins {
		return nil, readRest(dec, t)
	}
	return t, nil
}

// readRest reads what is left of a value that begins with this token.
func readRest(dec *json.Decoder, t json.Token) error {
	for depth := 0; ; {
		switch t {
		case json.Delim('{'), json.Delim('['):
			if depth++; depth > maxDepth {
				return errors.New("JSON is nested too deep")
			}
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth <= 0 {
			return nil
		}
		var err error
		if t, err = dec.Token(); err != nil {
			return err
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
