package api

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strings"
)

// Zones yields all zones, without what only [Client.Zone] or [Client.ServedZones]
// tells. An error ends it and means that they are not known, whatever came before.
func (c *Client) Zones(ctx context.Context) iter.Seq2[Zone, error] {
	return c.list(ctx, "/zones?dnssec=false")
}

// ServedZones is [Client.Zones] with EditedSerial and DNSSEC. It takes PowerDNS
// twice as long.
func (c *Client) ServedZones(ctx context.Context) iter.Seq2[Zone, error] {
	return c.list(ctx, "/zones?dnssec=true")
}

// list reads the answer a zone at a time: that of 100,000 has 30 MB.
func (c *Client) list(ctx context.Context, path string) iter.Seq2[Zone, error] {
	return func(yield func(Zone, error) bool) {
		err := c.exchange(ctx, 4*c.timeout, "list zones", "", http.MethodGet, path, nil, func(answer *json.Decoder) error {
			return eachZone(answer, func(zone Zone) bool { return yield(zone, nil) })
		})
		if err != nil { // so nobody has stopped
			yield(Zone{}, err)
		}
	}
}

// eachZone reads a list until it ends, or take says no. One that ends too early, or
// is none, is an error: it must never look like fewer zones.
func eachZone(answer *json.Decoder, take func(Zone) bool) error {
	if t, err := answer.Token(); err != nil || t != json.Delim('[') {
		return errors.Join(errors.New("it is no list"), err)
	}
	for answer.More() {
		var z zoneJSON
		if err := answer.Decode(&z); err != nil {
			return err
		}
		if variant(z.Name) {
			continue
		}
		zone, err := z.zone()
		if err != nil {
			return err
		}
		if !take(zone) {
			return nil
		}
	}
	_, err := answer.Token()
	return err
}

// variant says that a name is that of a zone's variant for a view (PowerDNS 5.0,
// "example.org..office"), which is no zone of its own and is not distributed.
func variant(name string) bool {
	_, view, found := strings.Cut(name, "..")
	return found && view != "" && !strings.HasSuffix(view, ".")
}
