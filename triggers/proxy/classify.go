package proxy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// place says where the name of the zone that a request changes stands.
type place int

const (
	nowhere place = iota // the request changes no zone
	inPath
	inBody // the top-level "name" of its JSON object
)

// class is what a request means for the zones.
type class struct {
	place place
	kind  pdns.ChangeKind
	// zone is canonical; set with inPath only.
	zone string
	// later says that PowerDNS answers at once and changes the zone afterwards.
	later bool
	// rrsets says that it changes the RRsets in its body and nothing else.
	rrsets bool
	// partly says that PowerDNS may have changed something although it answers
	// 422: it makes and deactivates keys one by one while it reads the request.
	// Seen with 4.7.3: PUT of {"dnssec":true,"nsec3param":"1 5 5000 ab"} is
	// refused with 422 and leaves the zone signed.
	partly bool
}

// ofAPI says that a path may be one of PowerDNS's API. Its web server has pages beside
// it, which show what is asked and by whom, and ask for no key: what keeps others from them is
// webserver-allow-from, and all that we forward comes from this host.
func ofAPI(rawPath string) bool {
	segments := segmentsOf(rawPath)
	return len(segments) > 0 && segments[0] == "api"
}

// segmentsOf are those of a path that are not empty.
func segmentsOf(rawPath string) []string {
	return slices.DeleteFunc(strings.Split(rawPath, "/"), func(s string) bool { return s == "" })
}

// classify tells whether a request changes what a zone serves. rawPath is the
// path as it came, escapes and all.
//
// The routes are those of PowerDNS 4.7 to 5.0 (pdns/ws-auth.cc), whose router
// compares literally, one slash each, and undoes percent escapes only inside a
// placeholder. Reading the path less strictly than PowerDNS does is safe: what it
// answers with 404 changed nothing and no event follows. Reading it more
// strictly could lose a change.
//
// No event follows from requests that change the server but no zone: tsigkeys,
// autoprimaries, config, cache/flush, notify. Nor from networks (5.0): which view
// a network gets is no zone's content, names no zone, and would mean every
// zone. What our transfers see of such a change, the primary scan finds.
// Views (5.0) name a zone, or a variant of it ("example.org..trusted"): the
// event is for the zone itself, since that is what is transferred.
func classify(method, rawPath string) class {
	segments := segmentsOf(rawPath)
	if len(segments) < 5 || segments[0] != "api" || segments[1] != "v1" || segments[2] != "servers" {
		return class{}
	}
	method = strings.ToUpper(method) // as PowerDNS does
	switch rest := segments[5:]; segments[4] {
	case "zones":
		return classifyZones(method, rest)
	case "views":
		return classifyViews(method, rest)
	}
	return class{}
}

// subresources are the routes below zones/{id}.
var subresources = []string{"axfr-retrieve", "cryptokeys", "export", "metadata", "notify", "rectify"}

func classifyZones(method string, rest []string) class {
	if len(rest) == 0 {
		if method == "POST" {
			return class{place: inBody, kind: pdns.ChangeAdd}
		}
		return class{}
	}
	if len(rest) >= 2 && slices.Contains(subresources, rest[1]) {
		return classifySubresource(method, rest[0], rest[1])
	}
	// The last placeholder of a route takes slashes too: zones/0/26.2.0.192.in-addr.arpa.
	id := strings.Join(rest, "/")
	switch method {
	case "PUT":
		return change(id, class{kind: pdns.ChangeModify, partly: true})
	case "PATCH": // one transaction
		return change(id, class{kind: pdns.ChangeModify, rrsets: true})
	case "DELETE":
		return change(id, class{kind: pdns.ChangeDelete})
	}
	return class{}
}

func classifySubresource(method, id, name string) class {
	switch name {
	case "cryptokeys", "metadata":
		if method == "POST" || method == "PUT" || method == "DELETE" {
			return change(id, class{kind: pdns.ChangeModify, partly: true})
		}
	case "rectify":
		if method == "PUT" {
			return change(id, class{kind: pdns.ChangeModify, partly: true})
		}
	case "axfr-retrieve":
		if method == "PUT" {
			return change(id, class{kind: pdns.ChangeModify, later: true})
		}
	}
	return class{}
}

func classifyViews(method string, rest []string) class {
	switch {
	case method == "POST" && len(rest) == 1:
		return class{place: inBody, kind: pdns.ChangeModify}
	case method == "DELETE" && len(rest) >= 2:
		return change(strings.Join(rest[1:], "/"), class{kind: pdns.ChangeModify})
	}
	return class{}
}

// change completes c with the zone of a zone ID. An ID that is no zone name
// can change none.
func change(id string, c class) class {
	name, err := zoneFromID(id)
	if err != nil {
		return class{}
	}
	c.place, c.zone = inPath, name
	return c
}

// zoneFromID is the inverse of apiZoneNameToId (pdns/ws-api.cc): percent
// escapes first, then =XX. PowerDNS refuses lower-case =xx with 400; here it
// is read all the same, for a later version that might take it.
func zoneFromID(id string) (string, error) {
	id, err := url.PathUnescape(id)
	if err != nil {
		return "", err
	}
	var name strings.Builder
	for i := 0; i < len(id); i++ {
		if id[i] != '=' {
			name.WriteByte(id[i])
			continue
		}
		if i+2 >= len(id) {
			return "", fmt.Errorf("zone ID %q ends inside =XX", id)
		}
		octet, err := url.PathUnescape("%" + id[i+1:i+3])
		if err != nil {
			return "", fmt.Errorf("zone ID %q: %w", id, err)
		}
		name.WriteString(octet)
		i += 2
	}
	return zoneFromName(name.String())
}

// zoneFromName makes canonical what PowerDNS takes as the name of a zone: octets
// that should be escaped but are not, and a variant behind the name, which begins
// with an empty label (5.0).
func zoneFromName(name string) (string, error) {
	var escaped strings.Builder
	backslash, dot := false, false // the octet before is one that counts as such
	for i := range len(name) {
		c := name[i]
		if c == '.' && dot {
			break // the variant begins
		}
		if c <= ' ' || c >= 0x7f {
			fmt.Fprintf(&escaped, `\%03d`, c)
		} else {
			escaped.WriteByte(c)
		}
		dot = c == '.' && !backslash
		backslash = c == '\\' && !backslash
	}
	return pdns.CanonicalZone(escaped.String())
}
