package upkeep

import (
	"context"
	"log/slog"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

// part is one kind of thing that is looked after.
type part struct {
	log  *slog.Logger
	what string
	// total is how many things it keeps.
	total int
	// every is the least time between two looks; 0 means each pass.
	every  time.Duration
	ensure func(context.Context) (created []string, err error)

	state outage.Log
	next  time.Time
	// stood says that all of it was there, or made, once in this process:
	// whatever is missing later had been lost.
	stood bool
	// made is what was made before that.
	made []string
}

func newPart(log *slog.Logger, what string, total int, every time.Duration, ensure func(context.Context) ([]string, error)) *part {
	return &part{
		log: log, what: what, total: total, every: every, ensure: ensure,
		state: outage.Log{Logger: log, What: what},
	}
}

// look makes what is missing and returns what had existed before.
func (p *part) look(ctx context.Context) (again []string) {
	if time.Now().Before(p.next) {
		return nil
	}
	created, err := p.ensure(ctx)
	if ctx.Err() != nil {
		return nil
	}
	if len(created) > 0 {
		p.log.Info("made what was missing", "by", p.what, "created", created)
	}
	stood := p.stood
	if !stood {
		p.made = append(p.made, created...)
	}
	if err != nil {
		p.state.Failed(err)
	} else {
		p.state.OK()
		p.stood = true
		p.next = time.Now().Add(p.every)
	}
	if stood {
		return created
	}
	return nil
}

// firstMade returns, once, what was made at first where other things were
// there already: the system had been set up, so these had been lost while this
// process was not running (or came with a new release; what follows is a check
// too many). A system where everything had to be made is a new one.
func firstMade(parts []*part) []string {
	var made []string
	total := 0
	for _, p := range parts {
		if !p.stood {
			return nil
		}
		made = append(made, p.made...)
		total += p.total
	}
	fresh := len(made) == total
	for _, p := range parts {
		p.made, p.total = nil, 0
	}
	if fresh {
		return nil
	}
	return made
}
