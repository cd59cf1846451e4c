// Package outage reports a dependency that went away and came back once each,
// however often it is tried in between: a loop that asks every second must
// not fill the log during an hour without NATS.
package outage

import (
	"log/slog"
	"sync"
	"time"
)

// Log tells the state of one thing that is tried again and again. The zero
// value with a Logger and What is ready; safe for concurrent use.
type Log struct {
	// Logger receives the lines.
	Logger *slog.Logger
	// What names the thing in the log, such as "NATS".
	What string

	mu     sync.Mutex
	reason string
	since  time.Time
}

// Failed logs err as a warning when it differs from what was last reported.
func (l *Log) Failed(err error, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reason := err.Error()
	if reason == l.reason {
		return
	}
	if l.reason == "" {
		l.since = time.Now()
	}
	l.reason = reason
	l.Logger.Warn(l.What+" failed, trying again", append([]any{"error", reason}, args...)...)
}

// OK logs the end of an outage, with its length, when there was one.
func (l *Log) OK(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reason == "" {
		return
	}
	l.reason = ""
	lasted := time.Since(l.since).Round(time.Millisecond)
	l.Logger.Info(l.What+" works again", append([]any{"outage", lasted}, args...)...)
}
