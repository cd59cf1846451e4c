package e2e

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// demoTries is what the commands that the demo prints to try must print, by the words that tell each from those after it.
var demoTries = []struct{ words, prints string }{
	{"dig ", `www\.demo\.example\.\s+\d+\s+IN\s+RRSIG\s+A `},
	{"curl .* -X PATCH ", `^$`},
	{"curl ", `"name": ?"demo\.example\."`},
	{`\$PDNS_DISTRIBUTE_BIN status`, `secondary-1 +yes +1 +1 `},
	{`\$PDNS_DISTRIBUTE_BIN resync`, `demo\.example\. in-sync`},
	{`\$STACK_TOOLS/temporal workflow list`, `sync-zone/demo\.example\.`},
	{`\$STACK_TOOLS/tctl workflow list`, `(?i)workflow type`},
	{`\$STACK_TOOLS/temporal workflow show`, `WorkflowExecutionStarted`},
	{`\$STACK_BIN ps`, `pdns-secondary-1 +running `},
	{`\$STACK_BIN stop pdns-secondary-1`, `^$`},
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
	tries := slices.Clone(demoTries)
	for _, command := range shellCommands(strings.TrimSuffix(rest, "It stays up until Ctrl-C.\n")) {
		if strings.HasPrefix(command, ". ") {
			continue
		}
		i := slices.IndexFunc(tries, func(c struct{ words, prints string }) bool {
			return regexp.MustCompile("(?s)^" + c.words).MatchString(command)
		})
		if i < 0 {
			t.Errorf("the demo prints a command that this test does not know: %s", command)
			continue
		}
		until(t, soon, func() error {
			return s.shell(t, ". "+s.EnvPath()+"\n"+command, regexp.MustCompile(tries[i].prints))
		})
		tries = slices.Delete(tries, i, i+1)
	}
	if len(tries) > 0 {
		t.Errorf("the demo does not print %v any more", tries)
	}

	must(t, interrupt())
	left, err := s.Processes()
	must(t, err)
	for _, p := range left {
		if p.PID != 0 {
			t.Errorf("%s still runs after Ctrl-C", p.Name)
		}
	}
}
