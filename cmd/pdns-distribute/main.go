// Command pdns-distribute brings the zones of a PowerDNS primary to its
// secondaries. Each subcommand is one file here; what it does is elsewhere.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	// exitUsage: the command line or the configuration must be mended first.
	exitUsage = 2
)

// errorOutput is where logs, progress and errors go; results go to standard
// output.
var errorOutput io.Writer = os.Stderr

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout))
}

// run carries out one command line and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	root, begun := rootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errorOutput)
	cmd, err := root.ExecuteContextC(ctx)
	var faults config.Faults
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &faults): // one a line, each begins with its key
		fmt.Fprintln(errorOutput, err)
		return exitUsage
	case !*begun:
		fmt.Fprintf(errorOutput, "pdns-distribute: %v\nRun '%s --help' for how it is used.\n", err, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(errorOutput, "pdns-distribute: %v\n", err)
	return exitFailure
}

// rootCommand returns the commands. begun becomes true when one was understood
// and starts its work: an error before that is one of usage.
func rootCommand() (root *cobra.Command, begun *bool) {
	begun = new(bool)
	root = &cobra.Command{
		Use:           "pdns-distribute",
		Short:         "Bring the zones of a PowerDNS primary to its secondaries",
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRun: func(*cobra.Command, []string) {
			*begun = true
		},
	}
	addConfigFlags(root)
	root.AddCommand(
		primaryCommand(), secondaryCommand(),
		resyncCommand(), checkCommand(), statusCommand(), approveCommand(), rejectCommand(),
		pauseCommand(), resumeCommand(), drainCommand(), forgetCommand(), adoptCommand(),
		checkConfigCommand(), versionCommand(),
	)
	return root, begun
}
