package upkeep

import (
	"context"
	"slices"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

// telling is the state of what is told of losses: beside the passes, since it may
// take as long as what follows them.
type telling struct {
	// untold is what nobody has been told of, told what is being told now.
	untold, told []string
	// note has both, for the next process.
	note owed
	// answer comes once the call under way has ended; nil where none is.
	answer chan error
	// notBefore is when the next call may be made.
	notBefore time.Time
	state     *outage.Log
}

// recall takes up what an earlier process has left.
func (t *telling) recall() {
	left, err := t.note.read()
	if err != nil {
		t.state.Failed(err)
		left = []string{"something, of which the note cannot be read"}
	}
	t.untold = append(t.untold, left...)
}

// add takes what was lost; it is told from now on.
func (t *telling) add(lost []string) {
	if len(lost) > 0 {
		t.untold = append(t.untold, lost...)
		t.write()
	}
}

// write notes what is still to be told. Where that fails, this process tells it all the same.
func (t *telling) write() {
	if err := t.note.write(slices.Concat(t.told, t.untold)); err != nil {
		t.state.Failed(err)
	}
}

// tell hands what was lost to call, with what it has not taken yet, unless a call is
// under way.
func (t *telling) tell(ctx context.Context, call func(context.Context, []string) error) {
	t.hear()
	if len(t.untold) == 0 || call == nil || t.answer != nil || time.Now().Before(t.notBefore) {
		return
	}
	what, answer := t.untold, make(chan error, 1)
	t.told, t.untold, t.answer = what, nil, answer
	go func() { answer <- call(ctx, what) }()
}

// hear takes the answer of a call that has ended.
func (t *telling) hear() {
	select {
	case err := <-t.answer:
		t.heard(err)
	default:
	}
}

func (t *telling) heard(err error) {
	t.answer = nil
	if err == nil {
		t.told = nil
		t.state.OK()
		t.write()
		return
	}
	t.state.Failed(err)
	t.untold, t.told, t.notBefore = append(t.told, t.untold...), nil, time.Now().Add(lookEvery)
}

// hangUp waits for the call under way, whose context has ended.
func (t *telling) hangUp() {
	if t.answer == nil {
		return
	}
	if err := <-t.answer; err == nil {
		t.heard(nil)
	}
}
