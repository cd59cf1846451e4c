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

	mu    sync.Mutex
	told  map[string]struct{} // the reasons that this outage was given
	since time.Time
}

// maxReasons bounds what is told of one outage: a reason that names something
// else each time would fill the log too.
const maxReasons = 10

// Failed logs err as a warning when this outage was not given that reason yet:
// several that take turns are each told once.
func (l *Log) Failed(err error, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	reason := err.Error()
	if _, told := l.told[reason]; told || len(l.told) == maxReasons {
		return
	}
	if len(l.told) == 0 {
		l.since, l.told = time.Now(), map[string]struct{}{}
	}
	l.told[reason] = struct{}{}
	l.Logger.Warn(l.What+" failed, trying again", append([]any{"error", reason}, args...)...)
}

// OK logs the end of an outage, with its length, when there was one.
func (l *Log) OK(args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.told) == 0 {
		return
	}
	l.told = nil
	lasted := time.Since(l.since).Round(time.Millisecond)
	l.Logger.Info(l.What+" works again", append([]any{"outage", lasted}, args...)...)
}
