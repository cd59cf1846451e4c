package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

func adoptCommand() *cobra.Command {
	var all bool
	var secondary string
	cmd := &cobra.Command{
		Use:   "adopt ZONE… | --all",
		Short: "Take over zones that somebody else made on secondaries",
		Long: "Take over foreign zones: zones on a secondary that pdns-distribute did not make, of which a version is published. Their content\n" +
			"becomes the primary's, and from then on they are changed and deleted like the others. They go on answering meanwhile; those with\n" +
			"DNSSEC keys or transfer settings of their own are made anew, and are not answered for a moment.\n" +
			"Exit code 1 when a secondary is not in sync afterwards.",
		Args: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name zones, or give --all")
			}
			return zoneNames(cmd, args)
		},
		RunE: withClient(func(ctx context.Context, c *connections, out io.Writer, args []string) error {
			in := workflows.ReconcileSecondaryInput{Trigger: workflows.TriggerManual, Reason: "foreign zones are taken over", AdoptAll: all}
			for _, name := range args {
				zone, err := pdns.CanonicalZone(name)
				if err != nil {
					return err
				}
				if newest, _, err := c.versions.Newest(ctx, zone); err != nil || newest.Deleted {
					return errors.Join(fmt.Errorf("zone %s cannot be taken over: no version of it is published", zone), err)
				}
				in.Adopt = append(in.Adopt, zone)
			}
			return adopt(ctx, c, out, in, secondary)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all foreign zones of which a version is published")
	cmd.Flags().StringVar(&secondary, "secondary", "", "on this secondary only")
	return cmd
}

// adopt has zones taken over on one secondary, or on all that are not paused.
func adopt(ctx context.Context, c *connections, out io.Writer, in workflows.ReconcileSecondaryInput, only string) error {
	secondaries, err := c.roster.List(ctx)
	if err != nil {
		return err
	}
	found := false
	var failed []error
	for _, s := range secondaries {
		if only != "" && s.ID != only || only == "" && s.Paused {
			continue
		}
		found = true
		in.Secondary = s.ID
		result, err := reconcile(ctx, c, in)
		if err == nil {
			err = reportReconcile(out, result)
		}
		failed = append(failed, err)
	}
	if !found {
		return fmt.Errorf("no secondary %s takes part; `pdns-distribute status` lists them", only)
	}
	return errors.Join(failed...)
}
