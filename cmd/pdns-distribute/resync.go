package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// resyncAtOnce is how many zones a resync waits for at a time.
const resyncAtOnce = 16

func resyncCommand() *cobra.Command {
	var all bool
	var secondary string
	cmd := &cobra.Command{
		Use:   "resync ZONE… | --all",
		Short: "Have zones synced now, and wait until every secondary serves them",
		Long: "Have zones synced now and wait until every secondary serves them or is lagging.\n" +
			"With --all every zone that is published and, on a primary, every zone that its PowerDNS holds.\n" +
			"With --all --secondary ID that secondary is compared in full, and only what differs is synced.\n" +
			"Exit code 1 when a zone is not in sync afterwards.",
		Args: func(cmd *cobra.Command, args []string) error {
			if all == (len(args) > 0) {
				return errors.New("name zones, or give --all")
			}
			return zoneNames(cmd, args)
		},
		RunE: withClient(func(ctx context.Context, c *connections, out io.Writer, args []string) error {
			if err := c.natsReady(ctx); err != nil {
				return fmt.Errorf("%w: a sync would wait for it", err)
			}
			if all && secondary != "" {
				return resyncSecondary(ctx, c, out, secondary)
			}
			return resyncZones(ctx, c, out, args, secondary)
		}),
	}
	cmd.Flags().BoolVar(&all, "all", false, "all zones")
	cmd.Flags().StringVar(&secondary, "secondary", "", "look at this secondary only")
	return cmd
}

// zoneNames refuses words that are no zone names.
func zoneNames(_ *cobra.Command, args []string) error {
	for _, name := range args {
		if _, err := pdns.CanonicalZone(name); err != nil {
			return err
		}
	}
	return nil
}

func resyncZones(ctx context.Context, c *connections, out io.Writer, names []string, secondary string) error {
	zones, err := zonesToSync(ctx, c, names)
	if err != nil {
		return err
	}
	bar := progressbar.NewOptions(len(zones), progressbar.OptionSetDescription("zones"), progressbar.OptionShowCount(), progressbar.OptionShowIts(),
		progressbar.OptionSetVisibility(len(zones) > 1), progressbar.OptionSetWriter(errorOutput))
	primary := primaryHere(ctx, c)
	var mu sync.Mutex
	wrong := 0
	var group errgroup.Group
	group.SetLimit(resyncAtOnce)
	for _, zone := range zones {
		if ctx.Err() != nil {
			break
		}
		group.Go(func() error {
			result, err := dispatch.ResyncZone(ctx, c.temporal, workflows.SyncZoneInput{Zone: zone, Primary: primary})
			mu.Lock()
			defer mu.Unlock()
			if !report(out, zone, result, err, secondary, len(zones) == 1) {
				wrong++
			}
			return bar.Add(1)
		})
	}
	err = errors.Join(group.Wait(), bar.Finish(), ctx.Err())
	if err == nil && wrong > 0 {
		err = fmt.Errorf("%d of %d zones are not in sync", wrong, len(zones))
	}
	return err
}

// primaryHere returns this host's ID where it is a primary that works, else "". What was
// changed past the api-proxy is asked of the primary on which a resync follows: the
// database of another one may lag.
func primaryHere(ctx context.Context, c *connections) string {
	primaries, err := c.consul.Reachable(ctx, discovery.ServicePrimary)
	if err != nil || !primaries[c.conf.Host.ID].Passing {
		return ""
	}
	return c.conf.Host.ID
}

// zonesToSync returns the named zones, or with none all that are known.
func zonesToSync(ctx context.Context, c *connections, names []string) ([]string, error) {
	var zones []string
	for _, name := range names {
		zone, err := pdns.CanonicalZone(name)
		if err != nil {
			return nil, err
		}
		zones = append(zones, zone)
	}
	if len(names) > 0 {
		return zones, nil
	}
	for version, err := range c.versions.All(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the published zones: %w", err)
		}
		if !version.Deleted {
			zones = append(zones, version.Zone)
		}
	}
	if c.conf.PowerDNS.APIKey.Reveal() != "" {
		for zone, err := range c.powerDNS().Zones(ctx) {
			if err != nil {
				return nil, fmt.Errorf("list the zones of the PowerDNS on this host: %w", err)
			}
			zones = append(zones, zone.Name)
		}
	}
	slices.Sort(zones)
	return slices.Compact(zones), nil
}

// report prints what is wrong with a zone, or with whole all about it, and says
// whether it is in sync.
func report(out io.Writer, zone string, result workflows.SyncZoneResult, err error, secondary string, whole bool) bool {
	if err != nil {
		fmt.Fprintf(out, "%s: %v\n", zone, err)
		return false
	}
	inSync := result.Outcome == workflows.OutcomeInSync || result.Outcome == workflows.OutcomeSkipped
	if secondary != "" {
		result.Secondaries = slices.DeleteFunc(result.Secondaries, func(s workflows.SecondaryStatus) bool { return s.ID != secondary })
		inSync = len(result.Secondaries) == 1 && result.Secondaries[0].State == workflows.StateInSync
	}
	if inSync && !whole {
		return true
	}
	fmt.Fprintf(out, "%s %s: version %d, serial %d, %d records\n", result.Zone, result.Outcome, result.Version, result.Serial, result.Records)
	if result.Error != "" {
		fmt.Fprintf(out, "  %s\n", result.Error)
	}
	for _, s := range result.Secondaries {
		fmt.Fprintln(out, strings.TrimSpace(fmt.Sprintf("  %s %s serial %d %s", s.ID, s.State, s.Serial, s.Error)))
	}
	if secondary != "" && len(result.Secondaries) == 0 {
		fmt.Fprintf(out, "  no secondary %s takes part; `pdns-distribute status` lists them\n", secondary)
	}
	return inSync
}

func resyncSecondary(ctx context.Context, c *connections, out io.Writer, id string) error {
	if _, err := c.roster.Get(ctx, id); err != nil {
		return fmt.Errorf("%w; `pdns-distribute status` lists the secondaries", err)
	}
	result, err := reconcile(ctx, c, workflows.ReconcileSecondaryInput{Secondary: id, Trigger: workflows.TriggerManual, Reason: "asked for by hand"})
	if err != nil {
		return err
	}
	return reportReconcile(out, result)
}

// reconcile has a secondary compared in full and waits for the end.
func reconcile(ctx context.Context, c *connections, in workflows.ReconcileSecondaryInput) (workflows.ReconcileSecondaryResult, error) {
	var result workflows.ReconcileSecondaryResult
	run, err := c.dispatcher.JoinReconcile(ctx, in)
	if err != nil {
		return result, err
	}
	if err := c.temporal.GetWorkflow(ctx, workflows.ReconcileSecondaryID(in.Secondary), run).Get(ctx, &result); err != nil {
		return result, fmt.Errorf("reconcile secondary %s: %w", in.Secondary, err)
	}
	return result, nil
}

func reportReconcile(out io.Writer, result workflows.ReconcileSecondaryResult) error {
	fmt.Fprintln(out, strings.ReplaceAll(result.Markdown(), "**", ""))
	if result.Outcome != workflows.OutcomeInSync {
		return fmt.Errorf("secondary %s is not in sync", result.Secondary)
	}
	return nil
}
