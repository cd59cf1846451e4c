package main

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

// warnOfSettings logs which settings of the local PowerDNS keep secondaries from serving what they should.
func (c *connections) warnOfSettings(ctx context.Context, logger *slog.Logger) {
	settings, err := c.powerDNS().Config(ctx)
	if err != nil {
		logger.Warn("the settings of the local PowerDNS cannot be read", "error", err)
		return
	}
	for _, setting := range unfit(c.conf.Role, settings) {
		logger.Warn("a setting of the local PowerDNS does not fit", "setting", setting.line, "why", setting.why)
	}
}

// unfitSetting is a line of PowerDNS's configuration and what comes of it.
type unfitSetting struct{ line, why string }

// unfit returns those of PowerDNS's settings that do not fit the role of its host, in the order of their names.
func unfit(role config.Role, settings map[string]string) (found []unfitSetting) {
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		value := settings[name]
		switch {
		case name == "outgoing-axfr-expand-alias" && value != "no":
			found = append(found, unfitSetting{name + "=" + value,
				"ALIAS records are transferred as the addresses that they have at that moment, which change without a new serial: set it to no, " +
					"and expand-alias=yes with a resolver on every secondary"})
		case role == config.RoleSecondary && strings.HasPrefix(name, "g") && strings.HasSuffix(name, "-dnssec") && value == "no":
			found = append(found, unfitSetting{name + "=" + value, "signed zones are served without their signatures: set it to yes"})
		case (name == "query-cache-ttl" || name == "negquery-cache-ttl") && value != "0":
			found = append(found, unfitSetting{name + "=" + value, "what was changed is served, or exported, late, and an edit past the API may go unnoticed for a day: set it to 0"})
		case role == config.RolePrimary && name == "zone-cache-refresh-interval" && value != "0":
			found = append(found, unfitSetting{name + "=" + value, "zones that others make in the database are found late: set it to 0"})
		}
	}
	return found
}
