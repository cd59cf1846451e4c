package system_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

var servers = []string{"nats", "consul", "temporal", "pdns-primary", "pdns-secondary-1", "pdns-secondary-2"}

// shared is one set of servers for the tests that leave them running and as they were.
var shared *system.System

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	if os.Getenv("STACK_BIN") == "" {
		return 1, fmt.Errorf("STACK_BIN is not set: run `make test`, or build it with stack/setup.sh test and set it to bin/stack")
	}
	dir, err := os.MkdirTemp("", "stack")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if shared, err = system.Up(context.Background(), options(dir, servers...)); err != nil {
		return 1, err
	}
	code = m.Run()
	return code, shared.Down(context.Background())
}

func options(dir string, names ...string) system.Options {
	return system.Options{Dir: dir, Only: names, FreePorts: true, Owner: os.Getpid()}
}

// up starts a system of the test's own.
func up(t *testing.T, names ...string) *system.System {
	t.Helper()
	return upWith(t, options(t.TempDir(), names...))
}

func upWith(t *testing.T, opts system.Options) *system.System {
	t.Helper()
	s, err := system.Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Down(context.Background()); err != nil { // t's own context has ended by now
			t.Error(err)
		}
	})
	return s
}

func env(t *testing.T, s *system.System, key string) string {
	t.Helper()
	all, err := s.Env()
	if err != nil {
		t.Fatal(err)
	}
	if all[key] == "" {
		t.Fatalf("no %s in the environment", key)
	}
	return all[key]
}

func state(t *testing.T, s *system.System, name string) system.Process {
	t.Helper()
	list, err := s.Processes()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range list {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("no process %s in %v", name, list)
	return system.Process{}
}

// eventually waits until check returns nil.
func eventually(t *testing.T, within time.Duration, check func() error) {
	t.Helper()
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %v", within, err)
		case <-tick.C:
		}
	}
}
