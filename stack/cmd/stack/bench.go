package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/stack/bench"
)

func benchCommand() *cobra.Command {
	var opts bench.Options
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure a system of its own, beside PowerDNS's own replication and the least that PowerDNS needs",
		Long:  "Scenarios:\n  " + strings.Join(bench.Names(), "\n  "),
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.Changes < 1 || opts.Burst < 1 || opts.Idle <= 0 || opts.Soak < time.Second {
				return fmt.Errorf("--changes, --burst and --idle must be above 0, --soak a second or more")
			}
			if opts.Away > 0 && (len(opts.Scenarios) == 0 || slices.Contains(opts.Scenarios, "distance")) {
				return fmt.Errorf("--away needs --scenarios, without distance, which has delays of its own")
			}
			if err := clearLast(opts.SystemDir()); err != nil {
				return err
			}
			opts.Out, opts.Progress = cmd.OutOrStdout(), cmd.ErrOrStderr()
			return bench.Run(cmd.Context(), opts)
		},
	}
	f := cmd.Flags()
	f.StringVar(&opts.Dir, "dir", ".bench", "folder of the system and of result.json")
	f.StringSliceVar(&opts.Scenarios, "scenarios", nil, "run only these")
	f.IntVar(&opts.Changes, "changes", 100, "single changes of a zone")
	f.IntVar(&opts.Native, "native", 10, "how many of them native replication takes part in, which needs a second for each")
	f.IntVar(&opts.Burst, "burst", 200, "changes in a burst")
	f.IntSliceVar(&opts.Zones, "zones", []int{1000}, "sizes of imports, e.g. 1000,10000")
	f.IntVar(&opts.NativeZones, "native-zones", 200, "native replication imports at most so many, 40 a second")
	f.IntVar(&opts.Deletes, "deletes", 1000, "zones to delete")
	f.IntSliceVar(&opts.Records, "records", []int{1000, 100_000}, "sizes of big zones, e.g. 1000,100000,1000000")
	f.IntSliceVar(&opts.Signed, "signed", []int{1000}, "sizes of signed zones")
	f.DurationVar(&opts.Soak, "soak", 30*time.Minute, "how long to watch memory in the scenario soak")
	f.DurationVar(&opts.Idle, "idle", 5*time.Second, "how long to watch the idle system; over a minute takes in what runs every minute")
	f.DurationSliceVar(&opts.RoundTrips, "round-trips", []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond},
		"delays between secondaries and NATS, Consul and Temporal in the scenario distance")
	f.DurationVar(&opts.Away, "away", 0, "the same in the other scenarios, e.g. 100ms")
	f.StringVar(&opts.Baselines, "baselines", "docs/benchmarks", "folder of committed results; the newest of each figure is compared with")
	f.BoolVar(&opts.Record, "record", false, "write the result there, to be committed")
	f.BoolVar(&opts.Keep, "keep", false, "leave data and logs in the folder")
	return cmd
}
