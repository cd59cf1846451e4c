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
	// answer comes once the call under way has ended; nil where none is.
	answer chan error
	// notBefore is when the next call may be made.
	notBefore time.Time
	state     *outage.Log
}

// tell hands what was made again to call, with what it has not taken yet, unless a
// call is under way.
func (t *telling) tell(ctx context.Context, again []string, call func(context.Context, []string) error) {
	t.untold = append(t.untold, again...)
	t.hear()
	if len(t.untold) == 0 || call == nil || t.answer != nil || time.Now().Before(t.notBefore) {
		return
	}
	what, answer := slices.Compact(slices.Sorted(slices.Values(t.untold))), make(chan error, 1)
	t.told, t.untold, t.answer = what, nil, answer
	go func() { answer <- call(ctx, what) }()
}

// pending says that something is still to be told, or being told.
func (t *telling) pending() bool { return len(t.untold) > 0 || t.answer != nil }

// hear takes the answer of a call that has ended.
func (t *telling) hear() {
	select {
	case err := <-t.answer:
		t.answer = nil
		if err == nil {
			t.state.OK()
			return
		}
		t.state.Failed(err)
		t.untold, t.notBefore = append(t.told, t.untold...), time.Now().Add(lookEvery)
	default:
	}
}

// hangUp waits for the call under way, whose context has ended.
func (t *telling) hangUp() {
	if t.answer != nil {
		if err := <-t.answer; err == nil {
			t.state.OK()
		}
	}
}
