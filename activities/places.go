package activities

import (
	"sync"

	"golang.org/x/sync/semaphore"
)

// places bounds what a secondary does at once. The zero value is ready.
type places struct {
	once  sync.Once
	taken *semaphore.Weighted
}

// of returns the semaphore of n places; n is the same in each call.
func (p *places) of(n int64) *semaphore.Weighted {
	p.once.Do(func() { p.taken = semaphore.NewWeighted(n) })
	return p.taken
}
