package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/applied"
	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
	"github.com/pdns-distribute/pdns-distribute/triggers/returns"
	"github.com/pdns-distribute/pdns-distribute/worker"
)

func secondaryCommand() *cobra.Command {
	return roleCommand(config.RoleSecondary,
		"Bring zones into the PowerDNS on this host and report what it serves", runSecondary)
}

func runSecondary(ctx context.Context, conf *config.Config, parts *running) error {
	logger := parts.logger
	c, err := connect(ctx, conf, logger)
	if err != nil {
		return err
	}
	defer c.close()
	noticed := returns.New(conf.Host.ID, c.dispatcher, logger)
	state, err := applied.Open(conf.Host.StateDir, logger)
	if err != nil {
		return err
	}
	defer state.Close() //nolint:errcheck // losing the last writes costs a full compare
	server, err := transfer.NewServer(conf.Secondary.TransferAddress, query.Local{Client: c.dns, Server: conf.PowerDNS.DNSAddress}, logger)
	if err != nil {
		return fmt.Errorf("secondary.transfer_address: %w", err)
	}
	activity := newSecondary(c, server, state, parts.registry)
	paused := newPauses(c, activity.Gate, func() { noticed.Notice("it was resumed") }, logger)
	gated := worker.Secondary(c.temporal, activity, logger)
	follower := activities.NewFollower(activity)
	parts.ready("nats", c.natsReady)
	parts.ready("temporal", c.temporalReady)
	parts.ready("worker", func(context.Context) error {
		if !gated.Open() {
			return errNotReady
		}
		return nil
	})

	group, ctx := errgroup.WithContext(ctx)
	parts.serve(ctx, group)
	group.Go(func() error { return server.Run(ctx) })
	refollow := make(chan struct{}, 1)
	group.Go(func() error { c.versions.Follow(ctx, logger, refollow, follower.Published); return nil })
	group.Go(func() error { follower.Run(ctx); return nil })
	group.Go(func() error { noticed.Run(ctx); return nil })
	group.Go(func() error { noticed.WatchRestarts(ctx, c.powerDNS().Uptime); return nil })
	group.Go(func() error { noticed.WatchOutages(ctx, "Temporal", c.temporalReady); return nil })
	rejoin := make(chan struct{}, 1)
	group.Go(func() error {
		c.onReconnect(ctx, func() {
			paused.refresh(ctx) // before anything is brought
			noticed.Notice("the connection to NATS is back")
			for _, lost := range []chan struct{}{rejoin, refollow} { // the roster, the versions
				select {
				case lost <- struct{}{}:
				default:
				}
			}
		})
		return nil
	})
	group.Go(func() error { paused.follow(ctx); return nil })
	group.Go(func() error { paused.run(ctx); return nil })
	group.Go(func() error {
		select {
		case <-paused.known:
		case <-ctx.Done():
			return nil
		}
		gated.Run(ctx, c.probe.Check, func() {
			noticed.Notice("its worker started or its PowerDNS is back")
			c.warnOfSettings(ctx, logger)
		})
		return nil
	})
	group.Go(func() error {
		join(ctx, c, paused.paused.Load, rejoin, logger)
		return nil
	})
	group.Go(func() error {
		c.registration(discovery.ServiceSecondary, conf.Secondary.AdvertiseDNSAddress, "secondary").Run(ctx, c.probe.Recent)
		return nil
	})
	return group.Wait()
}

func newSecondary(c *connections, server *transfer.Server, state *applied.State, registry prometheus.Registerer) *activities.Secondary {
	return &activities.Secondary{
		ID: c.conf.Host.ID, DNSAddress: c.conf.PowerDNS.DNSAddress, Master: server.Addr(),
		PowerDNS: c.powerDNS(), Changer: c.powerDNS(), Absence: c.dns, Foreign: c.powerDNS(), DNS: &query.Client{Uncached: true}, Transfer: server, Versions: c.versions, Applied: state, Gate: &activities.Gate{}, Catalogues: c.versions, Exporter: exporter{c.dispatcher},
		Signing: c.dns, Metrics: activities.NewSecondaryMetrics(registry),
	}
}

// joinEvery paces the looks at this secondary's roster entry: one that was lost
// with its bucket comes back.
const joinEvery = 15 * time.Second

// joinRetry paces the attempts until the first one succeeded.
const joinRetry = time.Second

// join keeps this secondary in the roster until ctx ends, and looks at once when
// asked to. One whose entry was lost stays paused.
func join(ctx context.Context, c *connections, paused func() bool, again <-chan struct{}, logger *slog.Logger) {
	state := outage.Log{Logger: logger, What: "joining the roster of secondaries"}
	entry := pdns.Secondary{ID: c.conf.Host.ID, DNSAddress: c.conf.Secondary.AdvertiseDNSAddress, JoinedAt: time.Now().UTC()}
	for {
		wait := joinEvery
		entry.Paused = paused()
		if err := c.roster.Join(ctx, entry); err != nil {
			state.Failed(err)
			wait = joinRetry
		} else {
			state.OK()
		}
		select {
		case <-ctx.Done():
			return
		case <-again:
		case <-time.After(wait):
		}
	}
}
