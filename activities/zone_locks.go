package activities

import (
	"context"
	"sync"
)

// zoneLocks is one lock a zone. The zero value is ready.
type zoneLocks struct {
	mu    sync.Mutex
	zones map[string]*zoneLock
}

// zoneLock is held by whoever's token is in the channel.
type zoneLock struct {
	held  chan struct{}
	users int
}

// lock waits for the zone's lock or until ctx ends.
func (l *zoneLocks) lock(ctx context.Context, zone string) (unlock func(), err error) {
	l.mu.Lock()
	if l.zones == nil {
		l.zones = make(map[string]*zoneLock)
	}
	lock := l.zones[zone]
	if lock == nil {
		lock = &zoneLock{held: make(chan struct{}, 1)}
		l.zones[zone] = lock
	}
	lock.users++
	l.mu.Unlock()

	select {
	case lock.held <- struct{}{}:
		return func() { <-lock.held; l.leave(zone, lock) }, nil
	case <-ctx.Done():
		l.leave(zone, lock)
		return nil, ctx.Err()
	}
}

func (l *zoneLocks) leave(zone string, lock *zoneLock) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lock.users--
	if lock.users == 0 {
		delete(l.zones, zone)
	}
}
