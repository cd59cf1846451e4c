package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

// What was lost is told until what follows has succeeded, one call at a time, and nobody waits for it.
func TestTellingUntilItSucceeds(t *testing.T) {
	calls, answers := make(chan []string), make(chan error)
	call := func(ctx context.Context, what []string) error {
		calls <- what
		select {
		case err := <-answers:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	told := telling{state: &outage.Log{Logger: slog.New(slog.DiscardHandler), What: "test"}}
	ctx, cancel := context.WithCancel(t.Context())
	told.tell(ctx, nil, call) // nothing was lost
	told.tell(ctx, []string{"streams"}, call)
	if what := <-calls; !slices.Equal(what, []string{"streams"}) {
		t.Errorf("told of %v", what)
	}
	told.tell(ctx, []string{"schedules"}, call) // while that is under way
	answers <- errors.New("no secondary")
	eventually.True(t, "the answer is taken", func() bool { told.tell(ctx, nil, call); return told.answer == nil })
	if pause := time.Until(told.notBefore); pause <= 0 || pause > lookEvery {
		t.Errorf("told again in %v", pause)
	}
	told.notBefore = time.Time{}
	told.tell(ctx, nil, call)
	if what := <-calls; !slices.Equal(what, []string{"schedules", "streams"}) {
		t.Errorf("told of %v", what)
	}
	answers <- nil
	eventually.True(t, "the answer is taken", func() bool { told.tell(ctx, nil, call); return told.answer == nil })
	if len(told.untold) > 0 {
		t.Errorf("still untold: %v", told.untold)
	}
	told.tell(ctx, []string{"buckets"}, call)
	<-calls
	cancel()
	told.hangUp()
}
