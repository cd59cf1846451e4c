package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/guard"
	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/triggers/events"
	triggerpresence "github.com/pdns-distribute/pdns-distribute/triggers/presence"
	"github.com/pdns-distribute/pdns-distribute/triggers/proxy"
	"github.com/pdns-distribute/pdns-distribute/triggers/upkeep"
	"github.com/pdns-distribute/pdns-distribute/worker"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

func primaryCommand() *cobra.Command {
	return roleCommand(config.RolePrimary,
		"Publish the zones of the PowerDNS on this host: api-proxy, trigger and worker", runPrimary)
}

// primary is the parts of a primary in one process. Each can be switched off
// and run in a process of its own.
type primary struct {
	*connections
	*running
	group *errgroup.Group
	// exports is what this host's worker exports with.
	exports *activities.Primary
	// ahead exports changes ahead of their events; nil without proxy and worker.
	ahead *activities.Ahead
	// mirror holds the newest versions for the checks.
	mirror *versions.Mirror
	// guard is what the guard remembers in NATS, key that of the events' proofs.
	guard *guard.Store
	key   *guard.Key
	// returned are told when the connection to NATS stands again.
	returned []func()
}

func runPrimary(ctx context.Context, conf *config.Config, parts *running) error {
	c, err := connect(ctx, conf, parts.logger)
	if err != nil {
		return err
	}
	defer c.close()
	group, ctx := errgroup.WithContext(ctx)
	memory := guard.New(c.jetStream)
	p := &primary{
		connections: c, running: parts, group: group, mirror: versions.NewMirror(c.jetStream), guard: memory, key: guard.NewKey(memory),
	}
	p.goRun(ctx, p.key.Run)
	p.exports = p.newExports(ctx)
	for _, part := range []struct {
		on    bool
		start func(context.Context) error
	}{
		{conf.Primary.Proxy, p.startProxy},
		{conf.Primary.Trigger, p.startTrigger},
		{conf.Primary.Worker, p.startWorker},
	} {
		if !part.on {
			continue
		}
		if err := part.start(ctx); err != nil {
			return err
		}
	}
	parts.ready("nats", c.natsReady)
	p.goRun(ctx, func(ctx context.Context) { c.onReconnect(ctx, p.returned...) })
	parts.serve(ctx, group)
	return group.Wait()
}

// goRun runs a part that ends only with ctx.
func (p *primary) goRun(ctx context.Context, run func(context.Context)) {
	p.group.Go(func() error {
		run(ctx)
		return nil
	})
}

func (p *primary) startProxy(ctx context.Context) error {
	conf := p.conf
	config := proxy.Config{
		Listen: conf.Proxy.Listen, CertFile: conf.Proxy.CertFile, KeyFile: conf.Proxy.KeyFile, StateDir: conf.Host.StateDir,
		PowerDNS: conf.PowerDNS.APIURL, Primary: conf.Host.ID, Publisher: p.jetStream,
		Subjects:   proxy.Subjects{Add: conf.Events.SubjectAdd, Modified: conf.Events.SubjectModified, Delete: conf.Events.SubjectDelete},
		Prove:      p.key.Prove,
		Registerer: p.registry, Log: p.logger,
	}
	if p.conf.Primary.Worker {
		p.ahead = activities.NewAhead(ctx, p.exports, p.mirror.Known)
		config.Changed, config.Settled, config.Revision = p.ahead.Changed, p.ahead.Settled, p.mirror.Revision
	}
	server, err := proxy.New(config)
	if err != nil {
		return err
	}
	p.returned = append(p.returned, server.Drain)
	p.group.Go(func() error { return server.Run(ctx) })
	p.goRun(ctx, func(ctx context.Context) {
		p.registration(discovery.ServiceProxy, conf.Proxy.Listen).Run(ctx, p.probe.Recent)
	})
	return nil
}

func (p *primary) startTrigger(ctx context.Context) error {
	keep := upkeep.New(upkeep.Upkeep{
		JetStream: p.jetStream, Broker: p.broker, Temporal: p.temporal, Namespace: p.conf.Temporal.Namespace,
		Schedules: schedules(p.conf), Versions: p.versions, Holds: p.guard, Resume: p.dispatcher.ResumeHold,
		Logger: p.logger, OnRecreated: p.recheck, OwedFile: filepath.Join(p.conf.Host.StateDir, "owed.json"),
	})
	taking := events.Config{
		JetStream: p.jetStream, Dispatcher: p.dispatcher, Proven: p.key.Proven, Registerer: p.registry, Log: p.logger,
		Ensure: keep.EnsureBroker,
	}
	consumer, err := events.New(taking)
	if err != nil {
		return err
	}
	p.mirror.OnOlder = func() { keep.Lost("versions of bucket " + broker.BucketZones) }
	if !p.conf.Primary.Worker {
		p.startMirror(ctx)
	}
	watch := &triggerpresence.Presence{Watcher: p.consul, Dispatcher: p.dispatcher, Logger: p.logger}
	p.returned = append(p.returned, keep.Wake)
	p.ready("temporal", p.temporalReady)
	p.goRun(ctx, keep.Run)
	p.goRun(ctx, watch.Run)
	p.group.Go(func() error { return consumer.Run(ctx) })
	return nil
}

// recheck has everything compared and exported again after a loss of data, and waits
// until that is done: events and workflows under way went with it.
func (p *primary) recheck(ctx context.Context, lost []string) error {
	run, err := p.dispatcher.Check(ctx, workflows.HealthCheck, workflows.CheckInput{
		Trigger: workflows.TriggerReturn, Reason: "lost and made again: " + strings.Join(lost, ", "), Fresh: true, All: true,
	})
	if err != nil {
		return err
	}
	result, err := healthChecked(ctx, p.temporal, run)
	if err == nil && result.Outcome == workflows.OutcomeFailed {
		err = fmt.Errorf("health check: %s", result.Error)
	}
	return err
}

// startMirror keeps up with what is published: the worker for the versions, the trigger
// to notice that NATS came back with older ones.
func (p *primary) startMirror(ctx context.Context) {
	p.returned = append(p.returned, p.mirror.BeginAnew)
	p.goRun(ctx, p.mirror.Run)
}

func (p *primary) startWorker(ctx context.Context) error {
	spool := p.exports.SpoolDir
	// What a killed process left there is of no use to anybody.
	if err := errors.Join(os.RemoveAll(spool), os.MkdirAll(spool, 0o700)); err != nil {
		return fmt.Errorf("host.state_dir: %w", err)
	}
	roles := p.workers()
	flows, exports := roles.Workflows(), roles.Exports()
	p.ready("worker", func(context.Context) error {
		if !flows.Open() || !exports.Open() {
			return errNotReady
		}
		return nil
	})
	p.startMirror(ctx)
	p.goRun(ctx, func(ctx context.Context) { p.recallChecks(ctx, roles.Checks.Metrics) })
	p.goRun(ctx, func(ctx context.Context) {
		flows.Run(ctx, func(context.Context) error { return nil }, func() {})
	})
	p.goRun(ctx, func(ctx context.Context) {
		exports.Run(ctx, p.probe.Check, func() { p.warnOfSettings(ctx, p.logger) })
	})
	p.goRun(ctx, func(ctx context.Context) {
		p.registration(discovery.ServicePrimary, p.conf.PowerDNS.DNSAddress, "primary").Run(ctx, p.probe.Recent)
	})
	return nil
}

func (p *primary) workers() worker.Primary {
	known := presence{consul: p.consul, self: p.conf.Host.ID}
	p.registry.MustRegister(&roster.Collector{Roster: p.roster, Reachable: known.Reachable})
	return worker.Primary{
		Client: p.temporal, Logger: p.logger,
		Directory: &activities.Directory{Roster: p.roster, Presence: known, Starter: starter{p.dispatcher}},
		Verifier:  &activities.Verifier{DNS: p.dns, Versions: p.versions, Presence: known, Metrics: activities.NewVerifyMetrics(p.registry)},
		Activity:  p.exports,
		Checks:    &activities.Checks{Runs: runs{p.dispatcher, p.temporal}, Metrics: activities.NewCheckMetrics(p.registry)},
		Scanner: &activities.Scanner{
			ID: p.conf.Host.ID, PowerDNS: p.powerDNS(), Versions: p.mirror, Lists: p.versions, Syncs: syncs{p.dispatcher, p.temporal, p.conf.Host.ID},
			Selection: pdns.Selection(p.conf.Zones),
		},
		Surveyor: &activities.Surveyor{
			Primary: p.exports, Local: &query.Client{Uncached: true}, Public: p.dns, Newest: p.mirror, Lists: p.versions, Contents: p.versions,
			Rules: pdns.SignatureRules{MinRemaining: p.conf.Signatures.MinRemaining}, Metrics: activities.NewSurveyMetrics(p.registry),
		},
		Denial: &activities.Denial{
			ID: p.conf.Host.ID, Enforce: p.conf.NSEC3.Enforce, PowerDNS: p.powerDNS(), Newest: p.mirror, Metrics: activities.NewDenialMetrics(p.registry),
		},
	}
}

func (p *primary) newExports(ctx context.Context) *activities.Primary {
	conf := p.conf
	held := guard.NewMirror(p.guard, p.logger)
	if conf.Primary.Worker {
		p.registry.MustRegister(held)
		p.goRun(ctx, held.Run)
	}
	return &activities.Primary{
		ID: conf.Host.ID, DNSAddress: conf.PowerDNS.DNSAddress, PowerDNS: p.powerDNS(), Versions: p.versions,
		Source: p.powerDNS(), Absence: p.dns, Answers: &query.Client{Uncached: true},
		Peers: presence{consul: p.consul, self: conf.Host.ID}, SpoolDir: filepath.Join(conf.Host.StateDir, "spool"),
		Timing:    activities.Timing{MinInterval: conf.Sync.MinInterval, EventCheckWait: conf.Sync.EventCheckWait, MaxLag: conf.Primary.MaxLag},
		Selection: pdns.Selection(conf.Zones),
		Guard: &activities.Guard{
			Rules: pdns.Guard(conf.Guard), Ledgers: p.guard, Holds: p.guard, List: p.guard, MayHold: held.MayHold,
			Announce: starter{p.dispatcher}, Published: p.mirror,
		},
		Metrics: activities.NewPrimaryMetrics(p.registry),
	}
}
