package config

import (
	"slices"
	"strings"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// kinds are the kinds of zones that can be distributed, by either name.
var kinds = []string{"native", "master", "primary", "slave", "secondary"}

// maxAPIDeletes bounds the ledger of deletes to a fraction of a NATS message.
const maxAPIDeletes = 20_000

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

func (c *Config) checkGuard(faults *faultList) {
	const unlimited = 1_000_000
	for _, number := range []struct {
		key                string
		value, least, most int
	}{
		{"guard.max_delete", c.Guard.MaxDelete, 0, unlimited},
		{"guard.max_delete_percent", c.Guard.MaxDeletePercent, 0, 50},
		{"guard.max_api_delete_per_minute", c.Guard.MaxAPIDeletePerMinute, 0, maxAPIDeletes},
		{"guard.max_shrink_percent", c.Guard.MaxShrinkPercent, 1, 100},
		{"guard.min_records", c.Guard.MinRecords, 1, unlimited},
	} {
		if number.value < number.least || number.value > number.most {
			faults.add(number.key, "is %d, expected %d to %d", number.value, number.least, number.most)
		}
	}
}
