// Command stack starts and stops a whole pdns-distribute system on loopback, for the demo, tests and benchmarks.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(1)
	}
}

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:           "stack",
		Short:         "Start and stop a whole pdns-distribute system on loopback",
		SilenceUsage:  true,
		SilenceErrors: true, // main prints the error once
	}
	cmd.SetOut(os.Stdout) // results; progress and errors go to standard error
	cmd.AddCommand(demoCommand(), benchCommand(), upCommand(), downCommand(), psCommand(), serveCommand())
	cmd.AddCommand(processCommands()...)
	return cmd
}

// dirFlag adds --dir, by default $STACK_DIR (which DIR/env sets) or the demo's folder.
func dirFlag(cmd *cobra.Command, dir *string) {
	fallback := os.Getenv("STACK_DIR")
	if fallback == "" {
		fallback = ".demo"
	}
	cmd.Flags().StringVar(dir, "dir", fallback, "folder of the system")
}
