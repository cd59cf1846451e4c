package presence

import (
	"maps"
	"slices"
	"sync"
	"time"
)

// dueList is which secondaries are to be reconciled and when; each at most
// once, since one more round covers whatever happened until then.
type dueList struct {
	// sooner holds a token when one was set that may be the first to be due.
	sooner chan struct{}

	mu sync.Mutex
	at map[string]time.Time
	// taken are those being started now; false once they ceased to be
	// reachable meanwhile.
	taken map[string]bool
}

func newDueList() *dueList {
	return &dueList{sooner: make(chan struct{}, 1), at: make(map[string]time.Time)}
}

func (d *dueList) set(id string, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.at[id] = at
	select {
	case d.sooner <- struct{}{}:
	default:
	}
}

// next is when the first is due; nil, for ever, where none is.
func (d *dueList) next() <-chan time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.at) == 0 {
		return nil
	}
	first := slices.MinFunc(slices.Collect(maps.Values(d.at)), time.Time.Compare)
	return time.After(time.Until(first))
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
