package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
)

// MetadataKinds returns the kinds of metadata that a zone has.
func (c *Client) MetadataKinds(ctx context.Context, zone string) ([]string, error) {
	all, err := c.allMetadata(ctx, zone)
	return slices.Sorted(maps.Keys(all)), err
}

// allMetadata returns a zone's metadata by kind, those too that PowerDNS does not
// tell when asked for alone, such as API-RECTIFY (4.7.3).
func (c *Client) allMetadata(ctx context.Context, zone string) (map[string][]string, error) {
	var answer []struct {
		Kind     string   `json:"kind"`
		Metadata []string `json:"metadata"`
	}
	if err := c.call(ctx, "list the metadata of zone", zone, http.MethodGet, zonePath(zone)+"/metadata", nil, &answer); err != nil {
		return nil, err
	}
	all := make(map[string][]string)
	for _, m := range answer {
		if len(m.Metadata) > 0 {
			all[m.Kind] = m.Metadata
		}
	}
	return all, nil
}

// TakeOverZone makes an existing zone one whose content PowerDNS takes from
// master, like [Client.CreateSecondaryZone], and serves its serial as it is. What it
// answers stays until the first transfer.
func (c *Client) TakeOverZone(ctx context.Context, zone Zone, master, account string) error {
	body := map[string]any{"kind": "Slave", "masters": []string{master}, "account": account, "soa_edit_api": "", "soa_edit": ""}
	if zone.Catalog != "" {
		body["catalog"] = "" // else PowerDNS deletes it when it leaves that catalogue
	}
	return c.call(ctx, "take over zone", zone.Name, http.MethodPut, zonePath(zone.Name), body, nil)
}
