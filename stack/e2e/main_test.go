// Package e2e tests pdns-distribute from outside, as its users see it: zones are changed through the api-proxy and asked
// for at the secondaries, all on one whole system of real servers (package system) that TestMain starts.
//
// Every test uses zones of its own and calls one of two first: parallel, when it only uses the system, or alone, when it
// measures or disturbs something there: Go runs those first, one by one. Those of TestSites start a system that they may break,
// beside the others.
package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	outside "github.com/pdns-distribute/pdns-distribute/stack/client"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// sys is the system under test, env its DIR/env.
var (
	sys *system.System
	env map[string]string
)

// The nameservers. primary is reached through the api-proxy, direct is the same PowerDNS without it.
var (
	primary     *nameserver
	direct      *nameserver
	secondaries []*nameserver
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		code = 1
	}
	os.Exit(code)
}

// run starts the system, runs the tests and takes it down. With E2E_KEEP set, the folder with logs and data stays.
func run(m *testing.M) (code int, err error) {
	if os.Getenv("STACK_BIN") == "" {
		return 1, errors.New("STACK_BIN is not set: run `make test`, or stack/setup.sh test and set it to bin/stack (an absolute path)")
	}
	// Not below the package's folder: the path of PowerDNS's control socket has at most 107 octets.
	dir, err := os.MkdirTemp("", "e2e")
	if err != nil {
		return 1, err
	}
	opts := system.Options{Dir: dir, Settings: onlyAsked, FreePorts: true, Owner: os.Getpid()}
	if os.Getenv("E2E_KEEP") == "" {
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	} else {
		opts.Owner = 0
		fmt.Fprintln(os.Stderr, "e2e: logs and data stay in", dir)
	}
	sys, err = system.Up(context.Background(), opts)
	if err != nil {
		return 1, fmt.Errorf("start the system: %w", err)
	}
	defer func() { err = errors.Join(err, sys.Down(context.Background())) }()
	if err := connect(); err != nil {
		return 1, err
	}
	if err := allInRoster(); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// connect fills the package's variables from the system's env.
func connect() error {
	var err error
	if env, err = sys.Env(); err != nil {
		return err
	}
	primary, direct, secondaries, err = nameservers(env)
	return err
}

// nameservers are those of the system that env describes.
func nameservers(env map[string]string) (primary, direct *nameserver, secondaries []*nameserver, err error) {
	client, err := outside.HTTPS(env["API_CA"], 2*time.Minute)
	if err != nil {
		return nil, nil, nil, err
	}
	primary, direct = primaryServers(env, client, system.RolePrimary, "")
	addresses, urls := strings.Split(env["DNS_SECONDARIES"], ","), strings.Split(env["SECONDARY_API_URLS"], ",")
	for i := range addresses {
		secondaries = append(secondaries, &nameserver{
			name: fmt.Sprintf("secondary-%d", i+1), dns: addresses[i], url: urls[i], key: env["SECONDARY_API_KEY"], client: client, changes: new(sync.Mutex),
		})
	}
	return primary, direct, secondaries, nil
}

// primaryServers are one primary's PowerDNS, through the api-proxy and without it. suffix is that of its variables in env.
func primaryServers(env map[string]string, client *http.Client, name, suffix string) (proxy, direct *nameserver) {
	changes := new(sync.Mutex) // of one PowerDNS, whichever way
	one := nameserver{name: name, dns: env["DNS_PRIMARY"+suffix], url: env["API_URL"+suffix], key: env["API_KEY"], client: client, changes: changes}
	other := one
	other.name, other.url = "pdns-"+name, env["PRIMARY_API_URL"+suffix]
	return &one, &other
}

// parallel has a test run beside all others.
func parallel(t *testing.T) {
	t.Helper()
	t.Parallel()
	alone(t)
}

// alone leaves a test the machine: no other one runs.
func alone(t *testing.T) {
	t.Helper()
	t.Cleanup(func() { showLogs(t, sys) })
}

// logLines of each process's log are shown of a test that failed.
const logLines = 8

// showLogs prints the end of every process's log when the test has failed: at once, past the test's own output, so that what
// failed is printed after it. Whoever reads a long run's output begins at its end.
func showLogs(t *testing.T, s *system.System) {
	if !t.Failed() {
		return
	}
	var out strings.Builder
	for _, name := range s.Names() {
		lines := strings.Split(strings.TrimSpace(s.LogTail(name)), "\n")
		fmt.Fprintf(&out, "== %s: the end of %s.log\n%s\n", t.Name(), name, strings.Join(lines[max(0, len(lines)-logLines):], "\n"))
	}
	fmt.Fprint(os.Stderr, out.String())
}
