package activities

import (
	"sync"
	"time"
)

// oursFor is how long a zone that PowerDNS was found to hold as one of ours is taken
// for that where it still serves what we left. Changes often come in a row, and the
// question takes PowerDNS as long as the change does.
const oursFor = 5 * time.Second

// oursKept is how long that is remembered, by the host's clock.
const oursKept = time.Minute

// ours are zones that were found to be ours, fit to have RRsets changed alone, and were
// changed so since; with the time when they were found. The zero value is ready.
type ours struct{ found sync.Map }

// at says when a zone was found; false where it is to be looked at again.
func (o *ours) at(zone string, now time.Time) (time.Time, bool) {
	found, ok := o.found.Load(zone)
	if !ok {
		return time.Time{}, false
	}
	at := found.(time.Time) //nolint:errcheck // nothing else is in there
	return at, now.Sub(at) < oursFor
}

// note notes when a zone was found.
func (o *ours) note(zone string, at time.Time) {
	o.found.Store(zone, at)
	time.AfterFunc(oursKept, func() { o.found.CompareAndDelete(zone, at) })
}

// forget has a zone looked at again.
func (o *ours) forget(zone string) { o.found.Delete(zone) }
