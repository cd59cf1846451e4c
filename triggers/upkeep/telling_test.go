package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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
	told := telling{state: &outage.Log{Logger: slog.New(slog.DiscardHandler), What: "test"}, note: owed(filepath.Join(t.TempDir(), "owed"))}
	requireOwed := func(want ...string) {
		t.Helper()
		if is, err := told.note.read(); err != nil || !slices.Equal(is, want) {
			t.Errorf("owed are %v, not %v (%v)", is, want, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	told.tell(ctx, call) // nothing was lost
	told.add([]string{"streams"})
	told.tell(ctx, call)
	if what := <-calls; !slices.Equal(what, []string{"streams"}) {
		t.Errorf("told of %v", what)
	}
	told.add([]string{"schedules"})
	told.tell(ctx, call) // while that is under way
	requireOwed("streams", "schedules")
	answers <- errors.New("no secondary")
	eventually.True(t, 5*time.Second, "the answer is taken", func() bool { told.tell(ctx, call); return told.answer == nil })
	if pause := time.Until(told.notBefore); pause <= 0 || pause > lookEvery {
		t.Errorf("told again in %v", pause)
	}
	told.notBefore = time.Time{}
	requireOwed("streams", "schedules")
	told.tell(ctx, call)
	if what := <-calls; !slices.Equal(what, []string{"streams", "schedules"}) {
		t.Errorf("told of %v", what)
	}
	answers <- nil
	eventually.True(t, 5*time.Second, "the answer is taken", func() bool { told.tell(ctx, call); return told.answer == nil })
	if len(told.untold) > 0 {
		t.Errorf("still untold: %v", told.untold)
	}
	requireOwed()
	told.add([]string{"buckets"})
	told.tell(ctx, call)
	<-calls
	cancel()
	told.hangUp()
	requireOwed("buckets")

	next := telling{state: told.state, note: told.note}
	next.recall()
	if !slices.Equal(next.untold, []string{"buckets"}) {
		t.Errorf("the next process tells %v", next.untold)
	}
	if err := os.WriteFile(string(told.note), []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	next = telling{state: told.state, note: told.note}
	next.recall()
	if len(next.untold) != 1 {
		t.Errorf("with a note that cannot be read the next process tells %v", next.untold)
	}
}
