package system

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// watchOwner starts a process that takes the system down when its owner ends. Nothing when there is no owner.
func (s *System) watchOwner(pid int) error {
	if pid == 0 {
		return nil
	}
	argv := []string{s.programs.stack, "serve", "owner", "--dir", s.dir, "--pid", strconv.Itoa(pid)}
	if _, err := spawn(argv, "/", s.LogPath("owner"), 0); err != nil {
		return fmt.Errorf("watch process %d: %w", pid, err)
	}
	return nil
}

// OutliveOwner waits until the process pid has ended, then stops the system in dir and removes the folder. A folder
// that is gone by then was cleaned up by its owner.
func OutliveOwner(ctx context.Context, dir string, pid int) error {
	if err := waitProcess(pid); err != nil {
		return err
	}
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	s, err := Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(s.Down(ctx), os.RemoveAll(dir))
}

func waitProcess(pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	defer unix.Close(fd)
	for {
		// A pidfd becomes readable when its process ends (pidfd_open(2)).
		_, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
