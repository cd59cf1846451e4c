package api

import (
	"context"
	"net/http"
	"slices"
)

// Key is one DNSSEC key of a zone, without its secret.
type Key struct {
	// Algorithm is its name as PowerDNS prints it, such as ECDSAP256SHA256.
	Algorithm string `json:"algorithm"`
	// Active keys sign.
	Active bool `json:"active"`
}

// Keys returns the zone's DNSSEC keys.
func (c *Client) Keys(ctx context.Context, zone string) ([]Key, error) {
	var keys []Key
	return keys, c.call(ctx, "list the keys of zone", zone, http.MethodGet, zonePath(zone)+"/cryptokeys", nil, &keys)
}

// Presigned reports whether the zone's signatures come with its content. The
// answer for a zone does not say so (4.7: it says DNSSEC of both kinds).
func (c *Client) Presigned(ctx context.Context, zone string) (bool, error) {
	values, err := c.Metadata(ctx, zone, "PRESIGNED")
	return slices.Contains(values, "1"), err
}

// SetNSEC3 has a zone that PowerDNS signs live prove denial with NSEC3 of these
// parameters ("1 0 0 -"). PowerDNS takes the parameters of presigned zones and of
// zones with keys too old for NSEC3 as well, and breaks these (4.7): ask before.
//
// The zone is rectified in any case: where that is off for changes through the
// API, it would deny names that exist.
func (c *Client) SetNSEC3(ctx context.Context, zone, param string) error {
	body := map[string]any{"nsec3param": param, "nsec3narrow": false}
	if err := c.call(ctx, "set NSEC3 of zone", zone, http.MethodPut, zonePath(zone), body, nil); err != nil {
		return err
	}
	return c.call(ctx, "rectify zone", zone, http.MethodPut, zonePath(zone)+"/rectify", nil, nil)
}
