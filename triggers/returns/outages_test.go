package returns

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutagesAreNoticed runs on a clock of its own.
func TestOutagesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("secondary-1", nil, slog.New(slog.NewTextHandler(io.Discard, nil)))
		var away atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.WatchOutages(ctx, "Temporal", func(context.Context) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		})
		noticed := func(after time.Duration) string {
			time.Sleep(after)
			synctest.Wait()
			select {
			case reason := <-r.notices:
				return reason
			default:
				return ""
			}
		}
		if reason := noticed(time.Minute); reason != "" {
			t.Errorf("noticed %q of what works", reason)
		}
		away.Store(true)
		if reason := noticed(time.Minute); reason != "" {
			t.Errorf("noticed %q of what is away", reason)
		}
		away.Store(false)
		if reason := noticed(2 * askEvery); reason != "Temporal is back" {
			t.Errorf("noticed %q of what is back", reason)
		}
		if reason := noticed(time.Minute); reason != "" {
			t.Errorf("noticed %q once more", reason)
		}
	})
}
