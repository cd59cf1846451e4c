package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/stack/demo"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

const (
	downTimeout   = time.Minute
	watchInterval = 500 * time.Millisecond
)

func demoCommand() *cobra.Command {
	var opts system.Options
	var detach bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Start a whole new system, show a zone change reaching both secondaries, and stay up until Ctrl-C",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return runDemo(cmd, opts, detach) },
	}
	dirFlag(cmd, &opts.Dir)
	cmd.Flags().BoolVar(&opts.FreePorts, "free-ports", false, "pick unused ports instead of the fixed ones")
	cmd.Flags().BoolVar(&detach, "detach", false, "return when it is ready and leave it running")
	return cmd
}

func runDemo(cmd *cobra.Command, opts system.Options, detach bool) error {
	began := time.Now()
	stage := func(format string, args ...any) {
		cmd.Printf("[%5.1f s] %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}
	if err := clearLast(opts.Dir); err != nil {
		return err
	}
	stage("starting the system in %s", opts.Dir)
	opts.Progress = func(name string, _ time.Duration) { stage("%s is ready", name) }
	s, err := system.Up(cmd.Context(), opts)
	if err != nil {
		return err
	}
	if err := show(cmd, s, stage); err != nil {
		return errors.Join(err, s.ProductLogs(), down(cmd.Context(), s))
	}
	if detach {
		cmd.Printf("It stays up. To end it: make demo-stop\n")
		return nil
	}
	cmd.Printf("It stays up until Ctrl-C.\n")
	watch(cmd, s)
	stage("stopping the system")
	return down(cmd.Context(), s)
}

func show(cmd *cobra.Command, s *system.System, stage func(string, ...any)) error {
	env, err := s.Env()
	if err != nil {
		return err
	}
	stage("a zone, through the API at %s", env["API_URL"])
	if err := demo.Show(cmd.Context(), cmd.OutOrStdout(), env); err != nil {
		return err
	}
	stage("the demo is ready")
	return demo.Guide(cmd.OutOrStdout(), env, s.EnvPath())
}

// clearLast removes what an earlier system left in dir; a running one is not touched.
func clearLast(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "state.json")); os.IsNotExist(err) {
		return nil
	}
	s, err := system.Open(dir)
	if err != nil {
		return err
	}
	list, err := s.Processes()
	if err != nil {
		return err
	}
	for _, p := range list {
		if p.PID != 0 {
			return fmt.Errorf("a system is running in %s (%s, PID %d); end it first: %s down --dir %s", dir, p.Name, p.PID, os.Args[0], dir)
		}
	}
	return os.RemoveAll(dir)
}

// watch returns at Ctrl-C. It tells of each process that ends by itself meanwhile, once.
func watch(cmd *cobra.Command, s *system.System) {
	told := map[string]bool{}
	ticker := time.NewTicker(watchInterval)
	defer ticker.Stop()
	for {
		select {
		case <-cmd.Context().Done():
			return
		case <-ticker.C:
		}
		list, err := s.Processes()
		if err != nil {
			cmd.PrintErrln("stack:", err)
			return
		}
		for _, p := range list {
			if ended := p.State == "ended"; ended != told[p.Name] {
				told[p.Name] = ended
				if ended {
					cmd.PrintErrf("%s ended by itself; the end of %s:\n%s\n", p.Name, p.Log, s.LogTail(p.Name))
				}
			}
		}
	}
}

// down stops the system also when ctx was ended by Ctrl-C.
func down(ctx context.Context, s *system.System) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), downTimeout)
	defer cancel()
	return s.Down(ctx)
}
