package returns

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"
)

// TestRestartsAreNoticed runs on a clock of its own.
func TestRestartsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("secondary-1", nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
		started := time.Now().Add(-time.Hour)
		var away error
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.WatchRestarts(ctx, func(context.Context) (time.Duration, error) {
			return time.Since(started).Truncate(time.Second), away
		})
		noticed := func(after time.Duration) bool {
			time.Sleep(after)
			synctest.Wait()
			select {
			case <-r.notices:
				return true
			default:
				return false
			}
		}
		if noticed(2*time.Minute + 300*time.Millisecond) {
			t.Error("noticed what runs on")
		}
		started = time.Now() // between two looks
		if !noticed(2 * time.Second) {
			t.Error("a restart went unnoticed")
		}
		if noticed(time.Minute) {
			t.Error("noticed twice")
		}
		away = errors.New("connection refused")
		if noticed(time.Minute) {
			t.Error("noticed that it is away")
		}
		away = nil
		if noticed(time.Minute) {
			t.Error("noticed that it could be asked again: it never ended")
		}
	})
}
