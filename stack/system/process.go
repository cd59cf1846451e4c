package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// pollInterval is how often a condition is looked at again while waiting for it.
const pollInterval = 20 * time.Millisecond

// spawn starts argv detached (a session of its own, so that a Ctrl-C meant for the starter does not reach it), its
// output appended to logPath. Its timers may be late by slack, 0 for the system's default.
func spawn(argv []string, dir, logPath string, slack time.Duration) (record, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return record{}, err
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...) //nolint:noctx // the process is to outlive the call that started it
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = cleanEnvironment(), dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := startWith(slack, cmd); err != nil {
		return record{}, fmt.Errorf("start %s: %w", argv[0], err)
	}
	// Reap it when it ends while we live; its end is noticed through /proc like that of any other's child.
	go func() { _ = cmd.Wait() }()
	rec, err := recordOf(cmd.Process.Pid)
	if err != nil {
		return record{}, fmt.Errorf("%s ended at once: %w", argv[0], err)
	}
	rec.StartedAt = time.Now().UTC()
	return rec, nil
}

// startWith starts cmd with that timer slack, which a process has from the thread that starts it (PR_SET_TIMERSLACK(2const)).
func startWith(slack time.Duration, cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	setTimerSlack(slack)
	defer setTimerSlack(0)
	return cmd.Start()
}

// setTimerSlack sets that of this thread, 0 for the default. A kernel that knows none goes on without.
func setTimerSlack(slack time.Duration) {
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack.Nanoseconds()), 0, 0, 0)
}

// recordOf describes the process that has this PID now.
func recordOf(pid int) (record, error) {
	stat, err := procStat(pid)
	if err != nil {
		return record{}, err
	}
	boot, err := bootID()
	return record{PID: pid, StartTicks: stat.ticks, BootID: boot}, err
}

// cleanEnvironment leaves out what would change how a process is set up: a shell that read another system's env file,
// or a user's own settings of the product, must not reach into this one.
func cleanEnvironment() []string {
	return slices.DeleteFunc(os.Environ(), func(variable string) bool {
		for _, prefix := range []string{"PDNS_DISTRIBUTE_", "CONSUL_", "NATS_", "TEMPORAL_", "PG"} {
			if strings.HasPrefix(variable, prefix) {
				return true
			}
		}
		return false
	})
}

// stat is what /proc/PID/stat says of a process (proc(5)).
type stat struct {
	parent int
	// ticks is when it started, in clock ticks since boot.
	ticks uint64
	// ended says that it has, but for its parent's notice of that, frozen that a signal has stopped it.
	ended, frozen bool
}

func procStat(pid int) (stat, error) { return readStat("/proc/" + strconv.Itoa(pid) + "/stat") }

// readStat reads what is said of a process, or of one of its threads.
func readStat(path string) (s stat, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	// The second field is the name in parentheses and may hold anything; fields are counted from behind it.
	_, rest, found := bytes.Cut(data[max(bytes.LastIndexByte(data, ')'), 0):], []byte(" "))
	fields := strings.Fields(string(rest))
	if !found || len(fields) < 20 {
		return s, fmt.Errorf("unexpected content of %s", path)
	}
	state, threads := fields[0], fields[17]
	// The first thread of a killed process may be a zombie while others have yet to die: its ports are still taken then.
	s.frozen = state == "T"
	s.ended = state == "X" || state == "Z" && (threads == "0" || threads == "1")
	var noParent, noTicks error
	s.parent, noParent = strconv.Atoi(fields[1])
	s.ticks, noTicks = strconv.ParseUint(fields[19], 10, 64)
	return s, errors.Join(noParent, noTicks)
}

func bootID() (string, error) {
	data, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(data)), err
}

// alive tells whether the recorded process still runs. A zombie does not: nobody may be left to reap it.
func (r record) alive() bool {
	if r.PID == 0 {
		return false
	}
	boot, err := bootID()
	if err != nil || boot != r.BootID {
		return false
	}
	stat, err := procStat(r.PID)
	return err == nil && stat.ticks == r.StartTicks && !stat.ended
}

// signal sends sig to the recorded process, and to no other that has its PID now: the pidfd pins the process before
// its identity is checked.
func (r record) signal(sig unix.Signal) error {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", r.PID, err)
	}
	defer unix.Close(fd)
	if !r.alive() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), r.PID, err)
	}
	return nil
}

// waitGone waits until the recorded process has ended, all its threads too: only then are its ports free. A leader that
// /proc shows as a zombie may still have threads that hold them; its pidfd tells (pidfd_open(2)).
func (r record) waitGone(ctx context.Context) error {
	fd, err := unix.PidfdOpen(r.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", r.PID, err)
	}
	defer unix.Close(fd)
	if stat, err := procStat(r.PID); err != nil || stat.ticks != r.StartTicks {
		return nil // gone, and its PID with it or given to another
	}
	return poll(ctx, func() error {
		ended, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if ended == 0 || err != nil {
			return fmt.Errorf("process %d still runs", r.PID)
		}
		return nil
	})
}

// poll calls try until it returns nil, ctx ends (the error then holds try's last one) or try returns a final error.
func poll(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		err := try()
		var final finalError
		if err == nil || errors.As(err, &final) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}

// finalError ends poll at once.
type finalError struct{ error }

func (e finalError) Unwrap() error { return e.error }

// tail returns the last lines of a log file, for the error that tells of a process's end.
func tail(path string, lines int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	all := strings.Split(strings.TrimRight(string(data), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
