package returns

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// TestOutagesAreNoticed runs on a clock of its own.
func TestOutagesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := New("secondary-1", nil, slog.New(slog.DiscardHandler))
		var away atomic.Bool
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go r.WatchOutages(ctx, "Temporal", func(context.Context) error {
			if away.Load() {
				return errors.New("connection refused")
			}
			return nil
		})
		if reason := noticed(r, time.Minute); reason != "" {
			t.Errorf("noticed %q of what works", reason)
		}
		away.Store(true)
		if reason := noticed(r, time.Minute); reason != "" {
			t.Errorf("noticed %q of what is away", reason)
		}
		away.Store(false)
		if reason := noticed(r, 2*askEvery); reason != "Temporal is back" {
			t.Errorf("noticed %q of what is back", reason)
		}
		if reason := noticed(r, time.Minute); reason != "" {
			t.Errorf("noticed %q once more", reason)
		}
	})
}

// noticed is the reason that was noticed until so long from now, on a test's own clock; empty for none.
func noticed(r *Returns, after time.Duration) string {
	time.Sleep(after)
	synctest.Wait()
	select {
	case reason := <-r.notices:
		return reason
	default:
		return ""
	}
}
