package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"go.temporal.io/sdk/worker"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

const (
	// probeEvery paces the questions whether PowerDNS answers.
	probeEvery = time.Second
	// probeWithin bounds one question.
	probeWithin = 2 * time.Second
	// closeAfter failed questions in a row the gate closes: one lost
	// datagram is no outage.
	closeAfter = 2
)

// Gated runs workers while what they depend on answers, and stops them while
// it does not. A stopped worker of the SDK cannot start again, so each opening
// makes new ones.
type Gated struct {
	logger *slog.Logger
	// create makes the workers, each with this as its OnFatalError.
	create  func(gaveUp func(error)) []worker.Worker
	running []worker.Worker
	open    atomic.Bool
}

func newGated(logger *slog.Logger, create func(gaveUp func(error)) []worker.Worker) *Gated {
	return &Gated{logger: logger, create: create}
}

// gaveUp has new workers made: the SDK stops one for good on an error that it
// takes for lasting, such as a namespace that a Temporal which was away for over two
// minutes, and has lost its data, does not have yet.
func (g *Gated) gaveUp(err error) {
	g.logger.Warn("a worker gave up, starting it anew", "error", err)
	g.open.Store(false)
}

// Open says whether the workers run, all of them.
func (g *Gated) Open() bool { return g.open.Load() }

// Run asks probe every second and keeps the gate accordingly, until ctx ends;
// then it stops the workers. opened is called each time the gate opens, the
// first time too.
func (g *Gated) Run(ctx context.Context, probe func(context.Context) error, opened func()) {
	defer g.stop()
	powerdns := outage.Log{Logger: g.logger, What: "local PowerDNS"}
	start := outage.Log{Logger: g.logger, What: "start of the workers"}
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for failed := 0; ; {
		err := ask(ctx, probe)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			powerdns.Failed(err)
			if failed++; failed >= closeAfter {
				g.stop()
			}
		default:
			failed = 0
			powerdns.OK()
			if g.Open() {
				break
			}
			if err := g.start(); err != nil {
				start.Failed(err)
				break
			}
			start.OK()
			opened()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func ask(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeWithin)
	defer cancel()
	return probe(ctx)
}

// start fails while Temporal is unreachable; it is tried again.
func (g *Gated) start() error {
	g.stop() // those that are left where one gave up
	for _, w := range g.create(g.gaveUp) {
		if err := w.Start(); err != nil {
			g.stop()
			return fmt.Errorf("start a worker: %w", err)
		}
		g.running = append(g.running, w)
	}
	g.open.Store(true)
	return nil
}

func (g *Gated) stop() {
	for _, w := range g.running {
		w.Stop()
	}
	g.running = nil
	g.open.Store(false)
}
