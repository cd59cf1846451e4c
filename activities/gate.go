package activities

import (
	"fmt"
	"sync"
)

// Gate keeps zones of this secondary from being changed while it is paused. It is
// closed until it is known that the secondary is not. Nil is open.
type Gate struct {
	mu   sync.Mutex
	open bool
	// under counts the zones under way; idle is told when none is any more.
	under int
	idle  []chan struct{}
}

// Open lets zones through from now on.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = true
}

// Close lets no zone through any more. What it returns is closed when those that
// were let through before have ended.
func (g *Gate) Close() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = false
	idle := make(chan struct{})
	if g.under == 0 {
		close(idle)
	} else {
		g.idle = append(g.idle, idle)
	}
	return idle
}

// IsOpen reports whether zones are let through.
func (g *Gate) IsOpen() bool {
	if g == nil {
		return true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.open
}

// enter lets one zone through, or not; leave must be called when it has ended.
func (g *Gate) enter(zone, secondary string) (leave func(), err error) {
	if g == nil {
		return func() {}, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return nil, fmt.Errorf("zone %s: %w", zone, pausedError(secondary))
	}
	g.under++
	return g.leave, nil
}

func (g *Gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.under--; g.under > 0 {
		return
	}
	for _, idle := range g.idle {
		close(idle)
	}
	g.idle = nil
}
