package system

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestTimerSlack: a process has the timer slack that it is started with, the next one its own, and that of the product is what its
// units say, so that what is measured here is what runs there.
func TestTimerSlack(t *testing.T) {
	before := slackOf(t, 0)
	for _, role := range []string{"primary", "secondary"} {
		unit, err := os.ReadFile("../../deploy/systemd/pdns-distribute-" + role + ".service")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(unit), "\nTimerSlackNSec=")
		value, _, _ := strings.Cut(rest, "\n")
		if wanted, err := time.ParseDuration(value); err != nil || wanted != productSlack {
			t.Errorf("the unit of a %s says %q, the stack %s", role, value, productSlack)
		}
	}
	if got := slackOf(t, productSlack); got != productSlack {
		t.Errorf("started with a slack of %s, a process has %s", productSlack, got)
	}
	if after := slackOf(t, 0); after != before {
		t.Errorf("the next process has a slack of %s, and would have had %s", after, before)
	}
}

// slackOf is what a process that is started with that slack says of its own.
func slackOf(t *testing.T, slack time.Duration) time.Duration {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.CommandContext(t.Context(), "cat", "/proc/self/timerslack_ns")
	cmd.Stdout = &said
	if err := startWith(slack, cmd); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	got, err := time.ParseDuration(strings.TrimSpace(said.String()) + "ns")
	if err != nil {
		t.Fatal(err)
	}
	return got
}
