package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// Uptime returns how long PowerDNS has been running, in whole seconds.
func (c *Client) Uptime(ctx context.Context) (time.Duration, error) {
	counters, err := c.counters(ctx, "ask for uptime", "statistic=uptime", "uptime")
	if err != nil {
		return 0, err
	}
	return time.Duration(counters[0]) * time.Second, nil
}

// Queries returns how many queries PowerDNS has got since its start.
func (c *Client) Queries(ctx context.Context) (uint64, error) {
	counters, err := c.counters(ctx, "count queries", "includerings=false", "udp-queries", "tcp-queries")
	if err != nil {
		return 0, err
	}
	return counters[0] + counters[1], nil
}

// counters returns these statistics, in their order.
func (c *Client) counters(ctx context.Context, step, query string, names ...string) ([]uint64, error) {
	var answer []struct {
		Name  string          `json:"name"`
		Value json.RawMessage `json:"value"` // of maps and rings it is a list
	}
	if err := c.call(ctx, step, "", http.MethodGet, "/statistics?"+query, nil, &answer); err != nil {
		return nil, err
	}
	texts := make(map[string]string, len(answer))
	for _, s := range answer {
		var text string
		if json.Unmarshal(s.Value, &text) == nil {
			texts[s.Name] = text
		}
	}
	counters := make([]uint64, len(names))
	for i, name := range names {
		var err error
		if counters[i], err = strconv.ParseUint(texts[name], 10, 63); err != nil {
			return nil, fmt.Errorf("PowerDNS API: %s: statistic %s: %w", step, name, err)
		}
	}
	return counters, nil
}
