package main

import (
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/stack/server/natsd"
	"github.com/pdns-distribute/pdns-distribute/stack/server/temporald"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// serverGC is how far a server's memory may grow, in percent of what is in use, before garbage is collected. On the two cores
// that a whole system shares, collecting as often as Go does by itself takes a tenth of all time.
const serverGC = 400

// serveCommand is how the stack starts itself again as one of the servers.
func serveCommand() *cobra.Command {
	var config string
	cmd := &cobra.Command{Use: "serve", Short: "Run one server in this process (used by up)", Hidden: true}
	for name, serve := range map[string]func(string) error{"nats": natsd.Serve, "temporal": temporald.Serve} {
		cmd.AddCommand(&cobra.Command{
			Use:  name,
			Args: cobra.NoArgs,
			RunE: func(*cobra.Command, []string) error {
				if os.Getenv("GOGC") == "" {
					debug.SetGCPercent(serverGC)
				}
				return serve(config)
			},
		})
	}
	cmd.AddCommand(ownerCommand())
	cmd.PersistentFlags().StringVar(&config, "config", "", "the server's configuration file")
	return cmd
}

// ownerCommand outlives a test run and cleans up after it.
func ownerCommand() *cobra.Command {
	var dir string
	var pid int
	cmd := &cobra.Command{
		Use:  "owner",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return system.OutliveOwner(cmd.Context(), dir, pid) },
	}
	cmd.Flags().StringVar(&dir, "dir", "", "folder of the system")
	cmd.Flags().IntVar(&pid, "pid", 0, "process to outlive")
	return cmd
}
