package config

// maxAPIDeletes bounds the ledger of deletes to a fraction of a NATS message.
const maxAPIDeletes = 20_000

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
