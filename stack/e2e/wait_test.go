package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const (
	// soon bounds what takes milliseconds on an idle system; the tests share two cores.
	soon = 2 * time.Minute
	// pollEvery is the least pause between two questions while waiting, pollEveryMax what it grows to.
	pollEvery, pollEveryMax = 5 * time.Millisecond, 100 * time.Millisecond
	// lookEvery is the time between two looks at what must stay as it is.
	lookEvery = 100 * time.Millisecond
)

// until asks check again and again until it returns nil, and fails the test with its last error after within.
func until(t testing.TB, within time.Duration, check func() error) {
	t.Helper()
	if err := poll(within, check); err != nil {
		t.Fatalf("after %s: %v", within, err)
	}
}

// poll is until for use outside of a test's goroutine. It leaves four fifths of the time, or more, to the system that it
// watches, and adds a tenth to the wait at most.
func poll(within time.Duration, check func() error) error {
	start := time.Now()
	for {
		began := time.Now()
		err := check()
		if err == nil || time.Since(start) > within {
			return err
		}
		<-time.After(max(pollEvery, min(time.Since(start)/10, pollEveryMax)) + 4*time.Since(began))
	}
}

// busyTick paces a client that asks all the time, some hundred questions a second: as fast as it can it would leave the other
// tests no processor. False once ctx has ended.
func busyTick(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(2 * time.Millisecond):
		return true
	}
}

// meanwhile looks again and again, for so long, and fails the test with the first error.
func meanwhile(t testing.TB, within time.Duration, check func() error) (looks int) {
	t.Helper()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for end := time.Now().Add(within); time.Now().Before(end); looks++ {
		must(t, check())
		<-tick.C
	}
	return looks
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
