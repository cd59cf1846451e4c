package e2e

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
)

// command runs a command of pdns-distribute as an operator on the primary's host and returns all that it printed and its
// exit code.
func (s *site) command(ctx context.Context, args ...string) (out string, code int) {
	return s.run(ctx, s.env["PDNS_DISTRIBUTE_BIN"], args...)
}

// run runs a program with the variables of DIR/env, as a shell that has read the file would. Exit code -1 stands for a
// program that could not be run or was killed.
func (s *site) run(ctx context.Context, program string, args ...string) (out string, code int) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = s.Dir(), os.Environ()
	for key, value := range s.env {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	var all bytes.Buffer
	cmd.Stdout, cmd.Stderr = &all, &all
	err := cmd.Run()
	var ended *exec.ExitError
	if err != nil && !errors.As(err, &ended) {
		return err.Error(), -1
	}
	return all.String(), cmd.ProcessState.ExitCode()
}
