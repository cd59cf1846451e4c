package main

import (
	"context"
	"log/slog"
	"sync/atomic"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// pauses keeps a secondary's gate as the roster says: closed while it is paused.
type pauses struct {
	id     string
	roster *roster.Roster
	gate   *activities.Gate
	// resumed is called when the secondary is not paused any more.
	resumed func()
	logger  *slog.Logger
	// known is closed when the roster was read first: until then nothing may be
	// changed here.
	known chan struct{}
	// paused is what the roster said last, so that an entry which was lost comes
	// back as it was.
	paused  atomic.Bool
	entries chan told
}

// told is an entry of the roster; taken, where there is one, is closed once the gate is
// as it says.
type told struct {
	pdns.Secondary
	taken chan<- struct{}
}

func newPauses(c *connections, gate *activities.Gate, resumed func(), logger *slog.Logger) *pauses {
	return &pauses{
		id: c.conf.Host.ID, roster: c.roster, gate: gate, resumed: resumed, logger: logger,
		known: make(chan struct{}), entries: make(chan told),
	}
}

// follow reads the roster until ctx ends.
func (p *pauses) follow(ctx context.Context) {
	p.roster.Follow(ctx, p.id, p.logger, func(entry pdns.Secondary) { p.tell(ctx, told{Secondary: entry}) })
}

func (p *pauses) tell(ctx context.Context, entry told) {
	select {
	case p.entries <- entry:
	case <-ctx.Done():
	}
}

// refresh closes the gate where the roster says that this secondary was paused while NATS
// was away. To open it is left to follow, which reads no older answer after a newer one.
func (p *pauses) refresh(ctx context.Context) {
	entry, err := p.roster.Get(ctx, p.id)
	if err != nil || !entry.Paused {
		return
	}
	taken := make(chan struct{})
	p.tell(ctx, told{entry, taken})
	select {
	case <-taken:
	case <-ctx.Done():
	}
}

// run keeps the gate as the roster says until ctx ends.
func (p *pauses) run(ctx context.Context) {
	state := outage.Log{Logger: p.logger, What: "telling the roster that a paused secondary is idle"}
	var idle <-chan struct{}
	first := true
	for {
		select {
		case <-ctx.Done():
			return
		case entry := <-p.entries:
			idle = p.take(entry.Secondary, first)
			if entry.taken != nil {
				close(entry.taken)
			}
			if first {
				close(p.known)
				first = false
			}
		case <-idle:
			idle = nil
			// Where that fails, the roster is read again in a while, and it is tried
			// again.
			if err := p.roster.Idle(ctx, p.id); err != nil {
				state.Failed(err, "secondary", p.id)
			} else {
				state.OK()
			}
		}
	}
}

// take does as an entry says. It returns what is closed when a paused secondary
// has ended what it had begun; nil where nobody waits for that.
func (p *pauses) take(entry pdns.Secondary, first bool) <-chan struct{} {
	switch {
	case entry.ID == "" && !first:
		return nil // lost; joining puts it back
	case entry.Paused:
		if !p.paused.Swap(true) {
			p.logger.Info("paused: nothing is changed here until this secondary is resumed", "secondary", p.id)
		}
		idle := p.gate.Close()
		if entry.Idle {
			return nil
		}
		return idle
	}
	p.gate.Open()
	if p.paused.Swap(false) {
		p.logger.Info("resumed", "secondary", p.id)
		p.resumed()
	}
	return nil
}
