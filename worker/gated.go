package worker

import (
	"fmt"
	"log/slog"
	"sync"

	"go.temporal.io/sdk/worker"
)

// Gated starts workers when what they depend on is up and stops them when it
// is down. A stopped worker of the SDK cannot start again, so each opening
// makes new ones.
type Gated struct {
	logger *slog.Logger
	create func() []worker.Worker

	mu      sync.Mutex
	running []worker.Worker
}

func newGated(logger *slog.Logger, create func() []worker.Worker) *Gated {
	return &Gated{logger: logger, create: create}
}

// Set opens or closes the gate; setting it twice is harmless. An error means
// that the workers could not start (Temporal unreachable): the gate stays
// closed, and the next Set(true) tries again.
func (g *Gated) Set(open bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case open && g.running == nil:
		return g.start()
	case !open && g.running != nil:
		g.logger.Warn("taking no more work: the local PowerDNS does not answer")
		g.stop()
	}
	return nil
}

// Open says whether the workers run.
func (g *Gated) Open() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running != nil
}

func (g *Gated) start() error {
	for _, w := range g.create() {
		if err := w.Start(); err != nil {
			g.stop()
			return fmt.Errorf("start a worker: %w", err)
		}
		g.running = append(g.running, w)
	}
	return nil
}

func (g *Gated) stop() {
	for _, w := range g.running {
		w.Stop()
	}
	g.running = nil
}
