package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// processCommands handle one process each, to try out faults.
func processCommands() []*cobra.Command {
	return []*cobra.Command{
		processCommand("stop", "Stop one process in an orderly way (SIGTERM)", (*system.System).Stop),
		processCommand("start", "Start one process again, at its old address with its data", (*system.System).Start),
		processCommand("kill", "End one process at once (SIGKILL), as a crash would", (*system.System).Kill),
		processCommand("pause", "Freeze one process (SIGSTOP): it hangs but keeps its connections", (*system.System).Pause),
		processCommand("resume", "Let a paused process go on",
			func(s *system.System, _ context.Context, name string) error { return s.Resume(name) }),
	}
}

func processCommand(verb, short string, act func(*system.System, context.Context, string) error) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:       verb + " NAME...",
		Short:     short,
		Args:      cobra.MinimumNArgs(1),
		ValidArgs: system.Names(),
		RunE: func(cmd *cobra.Command, names []string) error {
			s, err := system.Open(dir)
			if err != nil {
				return err
			}
			for _, name := range names {
				if err := act(s, cmd.Context(), name); err != nil {
					return err
				}
			}
			return nil
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}
