package config

import (
	"slices"
	"strings"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// kinds are the kinds of zones that can be distributed, by either name.
var kinds = []string{"native", "master", "primary", "slave", "secondary"}

// checkZones makes the names canonical too.
func (c *Config) checkZones(faults *faultList) {
	for _, list := range []struct {
		key   string
		names []string
	}{{"zones.include", c.Zones.Include}, {"zones.exclude", c.Zones.Exclude}} {
		for i, name := range list.names {
			zone, err := pdns.CanonicalZone(name)
			if err != nil {
				faults.add(list.key, "%v", err)
			}
			list.names[i] = zone
		}
	}
	if len(c.Zones.Kinds) == 0 {
		faults.add("zones.kinds", `is empty, expected kinds of zones, such as ["Native", "Master"]`)
	}
	for _, kind := range c.Zones.Kinds {
		if !slices.Contains(kinds, strings.ToLower(kind)) {
			faults.add("zones.kinds", "names %q, expected Native, Master (Primary) or Slave (Secondary)", kind)
		}
	}
}
