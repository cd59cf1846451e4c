package activities

import (
	"sync"
	"time"
)

const (
	// oursFor is how long a zone that PowerDNS was found to hold as one of ours is taken
	// for that where it still serves what we left. Changes often come in a row, and the
	// question takes PowerDNS as long as the change does.
	oursFor = 5 * time.Second
	// mostOurs bounds the zones that [ours] remembers, at some 100 octets each.
	mostOurs = 10_000
)

// ours are zones that were found to be ours, fit to have RRsets changed alone, and were
// changed so since; with the time when they were found. The zero value is empty.
type ours struct {
	mu    sync.Mutex
	zones map[string]time.Time
}

// take says when a zone was found, and forgets it: what is done with it next decides
// whether it still counts. False where it is to be looked at.
func (o *ours) take(zone string, now time.Time) (found time.Time, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	found, ok = o.zones[zone]
	delete(o.zones, zone)
	return found, ok && now.Sub(found) < oursFor
}

// note notes when a zone was found.
func (o *ours) note(zone string, found time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.zones == nil || len(o.zones) >= mostOurs {
		o.zones = make(map[string]time.Time)
	}
	o.zones[zone] = found
}

// forget has a zone looked at.
func (o *ours) forget(zone string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.zones, zone)
}
