// Package stacktest gives tests real servers: NATS, Consul, Temporal and PowerDNS, with TLS and authentication, started
// by the stack binary that $STACK_BIN names (`make test` builds and exports it). Without it tests fail, they never skip.
//
// One stack of servers takes a second or two to start; a package whose tests need the same one starts it in TestMain
// with Main.
package stacktest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// logBytes of each process's log are shown when a test fails.
const logBytes = 4000

// Stack is a running set of servers in a folder of its own, on ports of its own.
type Stack struct {
	bin, dir string
	env      map[string]string
}

// Start starts the named processes (see `stack up --help`) for one test and takes them down at its end, showing the
// ends of their logs when it failed.
func Start(t testing.TB, names ...string) *Stack {
	t.Helper()
	s, err := Up(names...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Logs())
		}
		if err := s.Down(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Main is the TestMain of a package whose tests share the named processes: it starts them, puts them into stack, runs the
// tests and exits.
func Main(m *testing.M, stack **Stack, names ...string) {
	code := 1
	s, err := Up(names...)
	if err == nil {
		*stack = s
		code = m.Run()
		err = s.Down()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Up starts the named processes for several tests; the caller ends them with Down. They end too when this process is
// killed.
func Up(names ...string) (*Stack, error) {
	bin := os.Getenv("STACK_BIN")
	if bin == "" {
		return nil, errors.New("STACK_BIN is not set: this test needs real servers; run `make test`, " +
			"or build them once with stack/setup.sh and set STACK_BIN to bin/stack (an absolute path)")
	}
	dir, err := os.MkdirTemp("", "stack")
	if err != nil {
		return nil, err
	}
	s := &Stack{bin: bin, dir: dir}
	err = s.run("up", "--free-ports", "--owner", strconv.Itoa(os.Getpid()), "--only", strings.Join(names, ","))
	if err == nil {
		s.env, err = readEnv(filepath.Join(dir, "env"))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %v: %w", names, err), os.RemoveAll(dir))
	}
	return s, nil
}

// Down stops everything and removes the folder.
func (s *Stack) Down() error {
	return errors.Join(s.run("down"), os.RemoveAll(s.dir))
}

// run is a command of the stack binary on this stack's folder; its output is part of the error.
func (s *Stack) run(args ...string) error {
	cmd := exec.Command(s.bin, append(args, "--dir", s.dir)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("stack %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Dir is the folder with the stack's configuration (config), certificates (pki), passwords and tokens (secrets), data
// and logs (log).
func (s *Stack) Dir() string { return s.dir }

// Env is a value of the stack's env file, for example NATS_URL; a test's fault when there is none.
func (s *Stack) Env(key string) string {
	value, ok := s.env[key]
	if !ok {
		panic("the stack's env file has no " + key)
	}
	return value
}

// ConfigPath is the product's configuration file for primary, secondary-1 or secondary-2, whether started or not.
func (s *Stack) ConfigPath(name string) string { return filepath.Join(s.dir, "config", name+".toml") }

// Stop ends a process in an orderly way.
func (s *Stack) Stop(t testing.TB, name string) { t.Helper(); s.must(t, "stop", name) }

// StartProc starts a stopped or killed process at its old address with its data and waits until it is ready.
func (s *Stack) StartProc(t testing.TB, name string) { t.Helper(); s.must(t, "start", name) }

// Kill ends a process at once, as a crash would.
func (s *Stack) Kill(t testing.TB, name string) { t.Helper(); s.must(t, "kill", name) }

// Pause freezes a process; it keeps its connections and answers nothing until Resume.
func (s *Stack) Pause(t testing.TB, name string) { t.Helper(); s.must(t, "pause", name) }

// Resume lets a paused process go on.
func (s *Stack) Resume(t testing.TB, name string) { t.Helper(); s.must(t, "resume", name) }

func (s *Stack) must(t testing.TB, verb, name string) {
	t.Helper()
	if err := s.run(verb, name); err != nil {
		t.Fatal(err)
	}
}

// Logs returns the ends of all processes' logs.
func (s *Stack) Logs() string {
	var out strings.Builder
	files, _ := filepath.Glob(filepath.Join(s.dir, "log", "*.log")) // fails only on a bad pattern
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			data = []byte(err.Error())
		}
		fmt.Fprintf(&out, "== the end of %s\n%s\n", filepath.Base(file), data[max(0, len(data)-logBytes):])
	}
	return out.String()
}

// readEnv reads KEY=value lines; the file's export line and comments are for shells.
func readEnv(path string) (map[string]string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		key, value, found := strings.Cut(strings.TrimSpace(line), "=")
		if found && !strings.HasPrefix(key, "#") {
			env[key] = strings.Trim(value, "'")
		}
	}
	return env, nil
}
