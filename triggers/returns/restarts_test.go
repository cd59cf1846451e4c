package returns

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestRestartsAreNoticed runs on a clock of its own.
func TestRestartsAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("secondary-1", nil, slog.New(slog.DiscardHandler))
		var mu sync.Mutex
		started := time.Now().Add(-time.Hour)
		var away error
		set := func(change func()) {
			mu.Lock()
			defer mu.Unlock()
			change()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.WatchRestarts(ctx, func(context.Context) (time.Duration, error) {
			mu.Lock()
			defer mu.Unlock()
			return time.Since(started).Truncate(time.Second), away
		})
		if noticed(r, 2*time.Minute+300*time.Millisecond) != "" {
			t.Error("noticed what runs on")
		}
		set(func() { started = time.Now() }) // between two looks
		if noticed(r, 2*time.Second) == "" {
			t.Error("a restart went unnoticed")
		}
		if noticed(r, time.Minute) != "" {
			t.Error("noticed twice")
		}
		set(func() { away = errors.New("connection refused") })
		if noticed(r, time.Minute) != "" {
			t.Error("noticed that it is away")
		}
		set(func() { away = nil })
		if noticed(r, time.Minute) != "" {
			t.Error("noticed that it could be asked again: it never ended")
		}
	})
}
