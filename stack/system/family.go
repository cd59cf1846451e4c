package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// family is a process, first, and its children: PostgreSQL has one for each connection, which would work on while their
// parent is frozen, and for a moment after it was killed.
type family []record

func (r record) family() (family, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	f := family{r}
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue // not a process
		}
		if stat, err := procStat(pid); err != nil || stat.parent != r.PID {
			continue // ended, or another's
		}
		if child, err := recordOf(pid); err == nil {
			f = append(f, child)
		}
	}
	return f, nil
}

// signal sends sig to all of the family.
func (f family) signal(sig unix.Signal) error {
	var all []error
	for _, member := range f {
		all = append(all, member.signal(sig))
	}
	return errors.Join(all...)
}

// freeze stops all of the family, and waits until the last thread has stopped: one that runs on another CPU works on until
// it notices, and would answer a question that comes after.
func (f family) freeze(ctx context.Context) error {
	if err := f.signal(unix.SIGSTOP); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, killGrace)
	defer cancel()
	return poll(ctx, func() error {
		for _, member := range f {
			threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", member.PID))
			if err != nil {
				return err
			}
			for _, thread := range threads {
				if s, err := readStat(thread); err == nil && !s.frozen && !s.ended {
					return fmt.Errorf("%s has not stopped yet", filepath.Dir(thread))
				}
			}
		}
		return nil
	})
}

// end asks the parent to end, and waits until it has. Whoever is paused takes no such signal before it goes on.
func (f family) end(ctx context.Context, sig unix.Signal) error {
	return errors.Join(f[0].signal(sig), f.signal(unix.SIGCONT), f[0].waitGone(ctx))
}

// kill ends all with SIGKILL and waits until they have ended.
func (f family) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killGrace)
	defer cancel()
	err := f.signal(unix.SIGKILL)
	for _, member := range f {
		err = errors.Join(err, member.waitGone(ctx))
	}
	return err
}
