package main

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

func upCommand() *cobra.Command {
	var opts system.Options
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Start the system or some of its processes, wait until they are ready, and return",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			opts.Progress = func(name string, took time.Duration) {
				cmd.PrintErrf("%-18s ready after %.1f s\n", name, took.Seconds())
			}
			s, err := system.Up(cmd.Context(), opts)
			if err != nil {
				return err
			}
			cmd.PrintErrf("its addresses and keys: %s\n", s.EnvPath())
			return nil
		},
	}
	dirFlag(cmd, &opts.Dir)
	cmd.Flags().StringSliceVar(&opts.Only, "only", nil, fmt.Sprintf("start only these, of %v", system.Names()))
	cmd.Flags().IntVar(&opts.Primaries, "primaries", 0, "number of primaries, 1 or 2; two share a database of PostgreSQL")
	cmd.Flags().BoolVar(&opts.Standby, "standby", false, "with two primaries: the second reads from a hot standby of the first one's database")
	cmd.Flags().IntVar(&opts.Owner, "owner", 0, "take the system down and remove its folder when the process with this PID ends")
	cmd.Flags().BoolVar(&opts.FreePorts, "free-ports", false, "pick unused ports instead of the fixed ones")
	return cmd
}

func downCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Stop every process of the system; data and logs stay",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := system.Open(dir)
			if err != nil {
				return err
			}
			return s.Down(cmd.Context())
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}

func psCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "ps",
		Short: "List the processes: name, state, PID, address, log file",
		Args:  cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			s, err := system.Open(dir)
			if err != nil {
				return err
			}
			list, err := s.Processes()
			if err != nil {
				return err
			}
			table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
			fmt.Fprintln(table, "NAME\tSTATE\tPID\tADDRESS\tLOG")
			for _, p := range list {
				pid := "-"
				if p.PID != 0 {
					pid = fmt.Sprint(p.PID)
				}
				fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", p.Name, p.State, pid, p.Address, p.Log)
			}
			return table.Flush()
		},
	}
	dirFlag(cmd, &dir)
	return cmd
}
