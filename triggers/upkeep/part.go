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
	// every is the least time between two looks; 0 means each pass.
	every time.Duration
	// ensure makes what is missing.
	ensure func(context.Context) (created []string, err error)
	// oldest is when the oldest of what it keeps was made, zero where there is
	// nothing; nil where that cannot be known.
	oldest func(context.Context) (time.Time, error)

	// note keeps what was made for the next process.
	note func(made []string)

	state outage.Log
	next  time.Time
	// began is when it was first looked at.
	began time.Time
	// stood says that all of it was there, or made, once in this process:
	// whatever is missing later had been lost.
	stood bool
	// made is what was made before that, and setUp whether something older was
	// there then.
	made  []string
	setUp bool
}

// look makes what is missing and returns what had existed before. What is
// younger than youth does not tell that the system had been set up: another
// primary, started at the same time, may just have made it.
func (p *part) look(ctx context.Context, youth time.Duration) (again []string) {
	if time.Now().Before(p.next) {
		return nil
	}
	if p.began.IsZero() {
		p.began = time.Now()
	}
	created, err := p.ensure(ctx)
	if len(created) > 0 {
		p.note(created)
		p.log.Info("made what was missing", "by", p.what, "created", created)
	}
	if err == nil && !p.stood {
		err = p.noteAge(ctx, youth)
	}
	if ctx.Err() != nil { // the next process finds the note
		return nil
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

// noteAge finds out whether something was there already.
func (p *part) noteAge(ctx context.Context, youth time.Duration) error {
	if p.oldest == nil {
		return nil
	}
	oldest, err := p.oldest(ctx)
	p.setUp = !oldest.IsZero() && p.began.Sub(oldest) > youth
	return err
}

// firstMade returns, once all parts stand, what was made until then in a system
// that had been set up before: it was lost while this process was not running,
// or came with a new release.
func firstMade(parts []*part) []string {
	var made []string
	setUp := false
	for _, p := range parts {
		if !p.stood {
			return nil
		}
		made = append(made, p.made...)
		setUp = setUp || p.setUp
	}
	for _, p := range parts {
		p.made = nil
	}
	if !setUp {
		return nil
	}
	return made
}
