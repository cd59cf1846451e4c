package e2e

import (
	"fmt"
	"testing"
	"time"
)

const (
	// soon bounds what takes milliseconds on an idle system; the tests share two cores.
	soon = 60 * time.Second
	// pollEvery paces the questions while waiting.
	pollEvery = 5 * time.Millisecond
)

// until asks check again and again until it returns nil, and fails the test with its last error after within.
func until(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	if err := poll(within, check); err != nil {
		t.Fatalf("after %s: %v", within, err)
	}
}

// poll is until for use outside of a test's goroutine.
func poll(within time.Duration, check func() error) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-tick.C:
		case <-deadline.C:
			return err
		}
	}
}

// must fails the test on an error.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wants is an error with this text unless the condition holds.
func wants(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}
