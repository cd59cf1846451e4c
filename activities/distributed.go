package activities

import "sync"

// mostDistributed bounds the zones that [distributed] remembers, at some 100 octets each.
const mostDistributed = 10_000

// distributed remembers which zones an export ahead has found to be distributed, since
// when nothing is known that may have changed it. So of a zone of which only records
// change PowerDNS is not asked each time what it is. The zero value is empty.
type distributed struct {
	mu    sync.Mutex
	zones map[string]struct{}
	// changes counts what may have changed of any zone.
	changes uint64
}

// changed notes that the zone may not be distributed any more.
func (d *distributed) changed(zone string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.changes++
	delete(d.zones, zone)
}

// has says whether the zone is known to be distributed; now is for [distributed.found].
func (d *distributed) has(zone string) (known bool, now uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, known = d.zones[zone]
	return known, d.changes
}

// found notes that the zone was found to be distributed by a look that began at since.
func (d *distributed) found(zone string, since uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.changes != since {
		return // perhaps of this very zone
	}
	if d.zones == nil || len(d.zones) >= mostDistributed {
		d.zones = make(map[string]struct{})
	}
	d.zones[zone] = struct{}{}
}
