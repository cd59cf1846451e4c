package presence

import (
	"slices"
	"sync"
	"time"
)

// dueList is which secondaries are to be reconciled and when; each at most
// once, since one more round covers whatever happened until then.
type dueList struct {
	mu sync.Mutex
	at map[string]time.Time
	// taken are those being started now; false once they ceased to be
	// reachable meanwhile.
	taken map[string]bool
}

func (d *dueList) set(id string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at[id] = at
}

// drop forgets a secondary that is not reachable any more; its return sets it
// again.
func (d *dueList) drop(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.at, id)
	delete(d.taken, id)
}

// take returns, sorted, those that are due at now.
func (d *dueList) take(now time.Time) []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.taken = make(map[string]bool)
	var due []string
	for id, at := range d.at {
		if !at.After(now) {
			due = append(due, id)
			delete(d.at, id)
			d.taken[id] = true
		}
	}
	slices.Sort(due)
	return due
}

// putBack has a secondary that was taken tried again at the given time, unless
// it was dropped, or set anew, meanwhile.
func (d *dueList) putBack(id string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, newer := d.at[id]; !newer && d.taken[id] {
		d.at[id] = at
	}
}
