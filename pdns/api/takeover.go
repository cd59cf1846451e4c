package api

import (
	"context"
	"net/http"
)

// MetadataKinds returns the kinds of metadata that a zone has.
func (c *Client) MetadataKinds(ctx context.Context, zone string) ([]string, error) {
	var answer []struct {
		Kind     string   `json:"kind"`
		Metadata []string `json:"metadata"`
	}
	if err := c.call(ctx, "list the metadata of zone", zone, http.MethodGet, zonePath(zone)+"/metadata", nil, &answer); err != nil {
		return nil, err
	}
	var kinds []string
	for _, m := range answer {
		if len(m.Metadata) > 0 {
			kinds = append(kinds, m.Kind)
		}
	}
	return kinds, nil
}

// TakeOverZone makes an existing zone one whose content PowerDNS takes from
// master, like [Client.CreateSecondaryZone]. What it answers stays until the
// first transfer.
func (c *Client) TakeOverZone(ctx context.Context, zone Zone, master, account string) error {
	body := map[string]any{"kind": "Slave", "masters": []string{master}, "account": account, "soa_edit_api": ""}
	if zone.Catalog != "" {
		body["catalog"] = "" // else PowerDNS deletes it when it leaves that catalogue
	}
	return c.call(ctx, "take over zone", zone.Name, http.MethodPut, zonePath(zone.Name), body, nil)
}
