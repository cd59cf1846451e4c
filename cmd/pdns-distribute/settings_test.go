package main

import (
	"slices"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

func TestUnfitSettings(t *testing.T) {
	lines := func(role config.Role, settings map[string]string) (lines []string) {
		for _, setting := range unfit(role, settings) {
			lines = append(lines, setting.line)
		}
		return lines
	}
	bad := map[string]string{
		"gmysql-dnssec": "no", "outgoing-axfr-expand-alias": "ignore-errors", "query-cache-ttl": "20", "negquery-cache-ttl": "0",
		"zone-cache-refresh-interval": "300", "guardian": "no", "launch": "gmysql",
	}
	for role, want := range map[config.Role][]string{
		config.RolePrimary:   {"outgoing-axfr-expand-alias=ignore-errors", "query-cache-ttl=20", "zone-cache-refresh-interval=300"},
		config.RoleSecondary: {"gmysql-dnssec=no", "outgoing-axfr-expand-alias=ignore-errors", "query-cache-ttl=20"},
	} {
		if got := lines(role, bad); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", role, got, want)
		}
	}
	for _, backend := range pdnstest.Backends {
		server := pdnstest.Secondary(t, backend)
		settings, err := api.New(server.APIURL, server.APIKey).Config(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, there := settings["outgoing-axfr-expand-alias"]; !there {
			t.Errorf("PowerDNS does not say how it transfers ALIAS records: %v", settings)
		}
		if got := lines(config.RoleSecondary, settings); len(got) > 0 {
			t.Errorf("%s, set up as it should be: %q", backend, got)
		}
	}
}
