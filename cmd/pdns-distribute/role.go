package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// running is what a role that runs until it is stopped is given: how it is
// watched.
type running struct {
	logger   *slog.Logger
	registry *prometheus.Registry
	server   *telemetry.Server
}

// ready adds a named readiness check.
func (r *running) ready(name string, check func(context.Context) error) {
	r.server.Readiness.Add(name, check)
}

// serve answers /metrics, /livez and /readyz from now until ctx ends. It is
// called when all readiness checks are there, so that nobody is told "ready" too
// early.
func (r *running) serve(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return r.server.Run(ctx) })
}

// roleCommand is the command of a role that runs until a signal stops it.
func roleCommand(role config.Role, short string, run func(context.Context, *config.Config, *running) error) *cobra.Command {
	return &cobra.Command{Use: string(role), Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
		ctx := cmd.Context()
		conf, err := loadConfig(cmd, role)
		if err != nil {
			return err
		}
		parts, err := watch(ctx, conf)
		if err != nil {
			return err
		}
		untrace, err := telemetry.Trace(ctx, telemetry.Tracing{
			URL: conf.Tracing.OTLPURL, CAFile: conf.Tracing.CAFile, SamplePercent: conf.Tracing.SamplePercent,
			Version: version(), Role: string(role), ID: conf.Host.ID,
		}, parts.logger)
		if err != nil {
			return err
		}
		defer untrace()
		parts.logger.Info("starting", "role", string(role), "id", conf.Host.ID, "version", version())
		err = run(ctx, conf, parts)
		if ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)) {
			parts.logger.Info("stopped")
			return nil
		}
		return err
	}}
}

// watch sets up how a process is watched.
func watch(ctx context.Context, conf *config.Config) (*running, error) {
	logger, err := telemetry.NewLogger(errorOutput, conf.Log.Level, conf.Log.Format)
	if err != nil {
		return nil, err
	}
	slog.SetDefault(logger) // for libraries that log by themselves
	registry := telemetry.NewRegistry(version(), string(conf.Role))
	certificates, err := certificatesOf(conf)
	if err != nil {
		return nil, err
	}
	registry.MustRegister(certificates)
	server, err := telemetry.Listen(ctx, conf.Metrics.Listen, registry, logger)
	if err != nil {
		return nil, err
	}
	return &running{logger: logger, registry: registry, server: server}, nil
}

// certificatesOf are those that the role uses and the configuration names.
func certificatesOf(conf *config.Config) (telemetry.Certificates, error) {
	certificates := telemetry.Certificates{}
	all := map[string][2]string{
		"nats.cert_file": {conf.NATS.CertFile, conf.NATS.KeyFile}, "consul.cert_file": {conf.Consul.CertFile, conf.Consul.KeyFile},
		"temporal.cert_file": {conf.Temporal.CertFile, conf.Temporal.KeyFile},
	}
	if conf.Role == config.RolePrimary && conf.Primary.Proxy {
		all["proxy.cert_file"] = [2]string{conf.Proxy.CertFile, conf.Proxy.KeyFile}
	}
	for key, files := range all {
		if files[0] == "" {
			continue
		}
		pair, err := tlsconf.LoadPair(files[0], files[1])
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		certificates[key] = pair
	}
	return certificates, nil
}
