// Package api speaks the HTTP API of the PowerDNS on the same host, versions
// 4.7 to 5.0, in clear over loopback.
package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// DefaultTimeout bounds one call, a list of zones four times that: of a million it
// took 10 to 27 s, and the first one after a restart takes longer.
const DefaultTimeout = 30 * time.Second

// Client calls the API. It may be used by several goroutines.
type Client struct {
	base    string
	key     string
	timeout time.Duration
	http    *http.Client
}

// Option changes a [Client].
type Option func(*Client)

// WithTimeout bounds each call; the context may end it earlier.
func WithTimeout(d time.Duration) Option { return func(c *Client) { c.timeout = d } }

// New returns a client for the API at baseURL, such as http://127.0.0.1:8081.
func New(baseURL, apiKey string, opts ...Option) *Client {
	c := &Client{
		base:    strings.TrimRight(baseURL, "/") + "/api/v1/servers/localhost",
		key:     apiKey,
		timeout: DefaultTimeout,
		http: &http.Client{
			// PowerDNS closes each connection after one answer; keeping
			// them would only race with that. No proxy: the key stays on this host.
			Transport: &http.Transport{DisableKeepAlives: true},
			// A redirect would carry the key elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
	for _, opt := range opts {
		opt(c)
	}
	return c
}

// Zone returns one zone. errors.Is(err, ErrNotFound) when PowerDNS lacks it;
// the answer comes from the database, not from the zone cache.
//
// Zones are deleted everywhere upon that word, and any web server says 404: so
// the server must also answer as a PowerDNS does, else the error is another.
func (c *Client) Zone(ctx context.Context, zone string) (Zone, error) {
	var answer zoneJSON
	err := c.call(ctx, "look up zone", zone, http.MethodGet, zonePath(zone)+"?rrsets=false", nil, &answer)
	if errors.Is(err, ErrNotFound) {
		if info, infoErr := c.Server(ctx); infoErr != nil {
			return Zone{}, fmt.Errorf("PowerDNS API: look up zone %s: is it gone? %w", zone, infoErr)
		} else if info.Version == "" {
			return Zone{}, fmt.Errorf("PowerDNS API: look up zone %s: powerdns.api_url does not lead to a PowerDNS", zone)
		}
	}
	if err != nil {
		return Zone{}, err
	}
	z, err := answer.zone()
	if err != nil {
		return Zone{}, fmt.Errorf("PowerDNS API: look up zone %s: %w", zone, err)
	}
	return z, nil
}

// CreateSecondaryZone creates a zone whose content PowerDNS takes from
// master (IP:port) by AXFR. errors.Is(err, ErrConflict) when it exists.
func (c *Client) CreateSecondaryZone(ctx context.Context, zone, master, account string) error {
	return c.create(ctx, zone, secondaryZone(zone, master, account))
}

// CreateFilledZone is [Client.CreateSecondaryZone] with the content that the zone
// has from the beginning, as the text of a zone file with absolute names.
// errors.Is(err, ErrRejected) where PowerDNS does not take it; nothing was made then.
// hollow has it make the empty non-terminals, which stand in no text, whatever
// default-api-rectify says.
func (c *Client) CreateFilledZone(ctx context.Context, zone, master, account, text string, hollow bool) error {
	body := secondaryZone(zone, master, account)
	body["zone"] = text
	if hollow {
		body["api_rectify"] = true
	}
	return c.create(ctx, zone, body)
}

func (c *Client) create(ctx context.Context, zone string, body map[string]any) error {
	return c.call(ctx, "create zone", zone, http.MethodPost, "/zones?rrsets=false", body, nil)
}

func secondaryZone(zone, master, account string) map[string]any {
	return map[string]any{
		"name":    zone,
		"kind":    "Slave", // understood by every version
		"masters": []string{master},
		"account": account,
		// Without it 4.7 sets DEFAULT, which rewrites serials on POST and PATCH.
		"soa_edit_api": "",
	}
}

// DeleteZone deletes a zone. errors.Is(err, ErrNotFound) when it is gone.
func (c *Client) DeleteZone(ctx context.Context, zone string) error {
	return c.call(ctx, "delete zone", zone, http.MethodDelete, zonePath(zone), nil, nil)
}

// RetrieveZone asks PowerDNS to transfer a secondary zone. Success means only
// that the wish was taken down: with more than one retrieval thread it is dropped without
// a word while a transfer of the zone is still in progress (4.7 to 5.1).
func (c *Client) RetrieveZone(ctx context.Context, zone string) error {
	return c.call(ctx, "retrieve zone", zone, http.MethodPut, zonePath(zone)+"/axfr-retrieve", nil, nil)
}

// FlushCache drops what PowerDNS has cached at and below the zone's name.
func (c *Client) FlushCache(ctx context.Context, zone string) error {
	return c.call(ctx, "flush cache of zone", zone, http.MethodPut, "/cache/flush?domain="+url.QueryEscape(zone), nil, nil)
}

// Metadata returns the values of one kind of a zone's metadata, none when it
// is not set.
func (c *Client) Metadata(ctx context.Context, zone, kind string) ([]string, error) {
	var answer struct {
		Metadata []string `json:"metadata"`
	}
	path := zonePath(zone) + "/metadata/" + url.PathEscape(kind)
	if err := c.call(ctx, "read metadata "+kind+" of zone", zone, http.MethodGet, path, nil, &answer); err != nil {
		return nil, err
	}
	return answer.Metadata, nil
}

// Config returns the settings that PowerDNS runs with, by name.
func (c *Client) Config(ctx context.Context) (map[string]string, error) {
	var answer []struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if err := c.call(ctx, "read settings", "", http.MethodGet, "/config", nil, &answer); err != nil {
		return nil, err
	}
	settings := make(map[string]string, len(answer))
	for _, s := range answer {
		settings[s.Name] = s.Value
	}
	return settings, nil
}

// Server describes the PowerDNS that answers.
func (c *Client) Server(ctx context.Context) (ServerInfo, error) {
	var info ServerInfo
	return info, c.call(ctx, "ask for version", "", http.MethodGet, "", nil, &info)
}

func zonePath(zone string) string { return "/zones/" + zoneID(zone) }

const (
	maxErrorBody = 64 << 10
	// maxBody bounds an answer: a million zones in the list.
	maxBody = 1 << 30
)

// call makes one call and decodes its answer into into, unless that is nil.
func (c *Client) call(ctx context.Context, step, zone, method, path string, body, into any) error {
	return c.exchange(ctx, c.timeout, step, zone, method, path, body, func(answer *json.Decoder) error {
		if into == nil {
			return nil
		}
		return answer.Decode(into)
	})
}

// exchange makes one call and has its answer read, all within that time.
func (c *Client) exchange(ctx context.Context, within time.Duration, step, zone, method, path string, body any, read func(*json.Decoder) error) error {
	fail := func(err error) error {
		if zone != "" {
			return fmt.Errorf("PowerDNS API: %s %s: %w", step, zone, err)
		}
		return fmt.Errorf("PowerDNS API: %s: %w", step, err)
	}
	if zone != "" {
		if _, err := pdns.CanonicalZone(zone); err != nil {
			return fail(err)
		}
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("%w after %s: is PowerDNS, or its database, overloaded?", context.DeadlineExceeded, within))
	defer cancel()
	req, err := c.request(ctx, method, path, body)
	if err != nil {
		return fail(err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fail(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody)) // what came of it must do
		return &Error{Status: resp.StatusCode, Message: message(resp.StatusCode, text), Zone: zone, Step: step}
	}
	if err := read(json.NewDecoder(io.LimitReader(resp.Body, maxBody))); err != nil {
		return fail(fmt.Errorf("answer: %w", err))
	}
	return nil
}

func (c *Client) request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	var content io.Reader
	if body != nil {
		data, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		content = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.base+path, content)
	if err != nil {
		return nil, err
	}
	req.Header.Set("X-API-Key", c.key)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	return req, nil
}
