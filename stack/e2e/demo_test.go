package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// demoTries are those that the demo prints to try.
var demoTries = []shownCommand{
	{words: `\. /`, prints: `^$`},
	{words: "dig ", prints: `www\.demo\.example\.\s+\d+\s+IN\s+RRSIG\s+A `},
	{words: "curl .* -X PATCH ", prints: `^$`},
	{words: "curl ", prints: `"name": ?"demo\.example\."`},
	{words: "pdns-distribute status", prints: `secondary-1 +yes +1 +1 `},
	{words: "pdns-distribute resync", prints: `demo\.example\. in-sync`},
	{words: "temporal workflow list", prints: `sync-zone/demo\.example\.`},
	{words: "tctl workflow list", prints: `(?i)workflow type`},
	{words: "temporal workflow show", prints: `WorkflowExecutionStarted`},
	{words: `\$STACK_BIN ps`, prints: `pdns-secondary-1 +running `},
	{words: `\$STACK_BIN stop pdns-secondary-1`, prints: `^$`},
}

// testDemo runs what `make demo` runs, then the commands that it prints to try, and ends it by Ctrl-C.
func testDemo(t *testing.T) {
	dir, err := os.MkdirTemp("", "e2e") //nolint:usetesting // the path of PowerDNS's control socket is short
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	must(t, err)
	defer out.Close()
	demo := exec.CommandContext(context.WithoutCancel(t.Context()), os.Getenv("STACK_BIN"), "demo", "--free-ports", "--dir", dir)
	demo.Stdout, demo.Stderr = out, out
	demo.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	must(t, demo.Start())
	interrupt := sync.OnceValue(func() error { return errors.Join(demo.Process.Signal(syscall.SIGINT), demo.Wait()) })
	t.Cleanup(func() { _ = interrupt() })

	var shown string
	until(t, soon, func() error {
		text, err := os.ReadFile(out.Name())
		shown = string(text)
		return errors.Join(err, wants(strings.HasSuffix(shown, "It stays up until Ctrl-C.\n"), "the demo printed\n%s", shown))
	})
	for _, want := range []string{"created zone demo.example. ", "signed it (DNSSEC) ", "changed www.demo.example. to ", "20 more changes"} {
		if !regexp.MustCompile(regexp.QuoteMeta(want) + ".*served by ").MatchString(shown) {
			t.Errorf("the demo did not show %q", want)
		}
	}

	sys, err := system.Open(dir)
	must(t, err)
	s := &site{System: sys}
	_, rest, _ := strings.Cut(shown, "\nTry, in another shell\n")
	s.runShown(t, "the demo", []string{strings.TrimSuffix(rest, "It stays up until Ctrl-C.\n")}, demoTries)

	must(t, interrupt())
	left, err := s.Processes()
	must(t, err)
	for _, p := range left {
		if p.PID != 0 {
			t.Errorf("%s still runs after Ctrl-C", p.Name)
		}
	}
}
