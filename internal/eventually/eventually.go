// Package eventually waits, in tests, for a condition instead of for a time.
package eventually

import (
	"testing"
	"time"
)

// within is far longer than anything takes that works, on a busy machine too: a test
// that passes never waits so long.
const within = time.Minute

// True asks for the condition every 10 ms and fails the test, naming what was
// waited for, when it does not hold within a minute.
func True(t testing.TB, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); ; {
		if condition() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", within, what)
		}
		<-tick.C
	}
}
