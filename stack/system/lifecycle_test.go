package system_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

func TestUpIsRepeatable(t *testing.T) {
	before := state(t, shared, "nats").PID
	again, err := system.Up(t.Context(), system.Options{Dir: shared.Dir(), Only: []string{"nats", "pdns-primary"}})
	if err != nil {
		t.Fatal(err)
	}
	if after := state(t, again, "nats").PID; after != before || before == 0 {
		t.Errorf("the PID of nats was %d and is %d after a second up", before, after)
	}
}

func TestProcessStates(t *testing.T) {
	s := up(t, "nats")
	nats := state(t, s, "nats")
	if nats.State != "running" || nats.PID == 0 {
		t.Fatalf("after up: %+v", nats)
	}
	// What follows goes through Open, as the commands of another process do.
	other, err := system.Open(s.Dir())
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Pause(t.Context(), "nats"); err != nil {
		t.Fatal(err)
	}
	if got := state(t, s, "nats").State; got != "paused" {
		t.Errorf("after pause: %s", got)
	}
	// The last of its threads may stop a moment later, on a busy host.
	eventually(t, 10*time.Second, func() error {
		short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		if err := s.WaitReady(short, "nats"); err == nil {
			return errors.New("a paused server answers")
		}
		return nil
	})
	if err := other.Resume("nats"); err != nil {
		t.Fatal(err)
	}
	if err := s.WaitReady(t.Context(), "nats"); err != nil {
		t.Errorf("after resume: %v", err)
	}
	if err := other.Kill(t.Context(), "nats"); err != nil {
		t.Fatal(err)
	}
	if got := state(t, s, "nats"); got.State != "stopped" || got.PID != 0 {
		t.Errorf("after kill: %+v", got)
	}
	if conn, err := net.Dial("tcp", nats.Address); err == nil {
		conn.Close()
		t.Error("a killed server still takes connections")
	}
	if err := s.Pause(t.Context(), "nats"); err == nil || !strings.Contains(err.Error(), "stack start nats") {
		t.Errorf("pausing what does not run: %v", err)
	}
	if err := other.Start(t.Context(), "nats"); err != nil {
		t.Fatal(err)
	}
	if again := state(t, s, "nats"); again.Address != nats.Address || again.PID == nats.PID {
		t.Errorf("after the second start: %+v, before: %+v", again, nats)
	}
}

func TestStopEndsPausedProcess(t *testing.T) {
	s := up(t, "pdns-primary")
	if err := s.Pause(t.Context(), "pdns-primary"); err != nil {
		t.Fatal(err)
	}
	if err := s.Stop(t.Context(), "pdns-primary"); err != nil {
		t.Error(err)
	}
}

func TestProcessThatEndedByItselfIsShown(t *testing.T) {
	s := up(t, "nats")
	pid := state(t, s, "nats").PID
	proc, err := os.FindProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := proc.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, func() error {
		if got := state(t, s, "nats").State; got != "ended" {
			return fmt.Errorf("state %s", got)
		}
		return nil
	})
}

func TestFailedStartShowsTheLogAndStopsTheRest(t *testing.T) {
	dir := t.TempDir()
	opts := options(dir, "nats", "pdns-primary")
	if err := os.MkdirAll(dir+"/data", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir+"/data/nats", []byte("a file where a folder should be"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := system.Up(t.Context(), opts)
	if err == nil || !strings.Contains(err.Error(), "nats did not become ready") || !strings.Contains(err.Error(), "not a directory") {
		t.Fatalf("up with a broken store: %v", err)
	}
	s, err := system.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := state(t, s, "pdns-primary"); got.PID != 0 {
		t.Errorf("left behind by the failed up: %+v", got)
	}
}

func TestBusyPortsAreNamed(t *testing.T) {
	s := up(t, "pdns-primary")
	addr := state(t, s, "nats").Address
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(addr)
	err = s.Start(t.Context(), "nats")
	if err == nil || !strings.Contains(err.Error(), "port "+port+" (client of nats) is busy") {
		t.Errorf("start on a busy port: %v", err)
	}
}

func TestUnknownNamesAreRefused(t *testing.T) {
	if err := shared.Stop(t.Context(), "natz"); err == nil || !strings.Contains(err.Error(), "nats") {
		t.Errorf("stop natz: %v", err)
	}
	if _, err := system.Up(t.Context(), options(t.TempDir(), "nats", "nots")); err == nil {
		t.Error("up --only nots succeeded")
	}
	if _, err := system.Open(t.TempDir()); err == nil || !strings.Contains(err.Error(), "make demo") {
		t.Errorf("open an empty folder: %v", err)
	}
}

// A test run that is killed leaves nothing behind.
func TestSystemEndsWithItsOwner(t *testing.T) {
	owner := exec.Command("cat")
	stdin, err := owner.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := owner.Start(); err != nil {
		t.Fatal(err)
	}
	opts := options(t.TempDir(), "nats")
	opts.Owner = owner.Process.Pid
	s, err := system.Up(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	addr := state(t, s, "nats").Address
	if err := stdin.Close(); err != nil { // cat ends
		t.Fatal(err)
	}
	if err := owner.Wait(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, func() error {
		if conn, err := net.Dial("tcp", addr); err == nil {
			return fmt.Errorf("NATS still listens: %w", conn.Close())
		}
		if _, err := os.Stat(s.Dir()); !os.IsNotExist(err) {
			return fmt.Errorf("%s is still there", s.Dir())
		}
		return nil
	})
}

func TestEnvIsForShellsAndSimpleReaders(t *testing.T) {
	out, err := exec.Command("sh", "-c", ". \"$1\" && env", "sh", shared.EnvPath()).Output()
	if err != nil {
		t.Fatal(err)
	}
	all, err := shared.Env()
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(shared.EnvPath())
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range all {
		if line := "\n" + key + "=" + value + "\n"; !strings.Contains("\n"+string(out), line) || !strings.Contains(string(file), line) {
			t.Errorf("%s: want the line %q in both the file and the environment of a shell that read it", key, strings.TrimSpace(line))
		}
	}
}

func TestSecretsAreForTheOwnerAlone(t *testing.T) {
	for _, sub := range []string{"", "config", "data", "log", "pki", "run", "secrets"} {
		info, err := os.Stat(shared.Dir() + "/" + sub)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s/%s has mode %s", shared.Dir(), sub, info.Mode())
		}
	}
	key := env(t, shared, "API_KEY")
	for _, name := range servers {
		cmdline, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", state(t, shared, name).PID))
		if err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{key, env(t, shared, "CONSUL_HTTP_TOKEN"), env(t, shared, "NATS_PASSWORD")} {
			if strings.Contains(string(cmdline), secret) {
				t.Errorf("the command line of %s holds a secret", name)
			}
		}
	}
}
