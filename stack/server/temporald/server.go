// Package temporald runs a Temporal server with its web UI in one process: SQLite, TLS with client certificates
// everywhere, and authorization by the name in the certificate.
package temporald

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"
	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// Serve runs Temporal and its UI until SIGTERM or SIGINT.
func Serve(configFile string) error {
	data, err := os.ReadFile(configFile)
	if err != nil {
		return err
	}
	var cfg system.TemporalConfig
	if err := json.Unmarshal(data, &cfg); err != nil {
		return fmt.Errorf("read %s: %w", configFile, err)
	}
	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	srv, err := newServer(cfg)
	if err != nil {
		return err
	}
	if err := srv.Start(); err != nil {
		return fmt.Errorf("start Temporal: %w", err)
	}
	ui := newUI(cfg)
	uiEnded := make(chan error, 1)
	go func() { uiEnded <- ui.Start() }()
	select {
	case <-stop.Done():
		ui.Stop()
		return srv.Stop()
	case err := <-uiEnded:
		return errors.Join(fmt.Errorf("the web UI ended: %w", err), srv.Stop())
	}
}

func newServer(cfg system.TemporalConfig) (temporal.Server, error) {
	sql, err := prepareDatabase(cfg)
	if err != nil {
		return nil, err
	}
	conf := serverConfig(cfg, sql)
	hosts := map[primitives.ServiceName]static.Hosts{}
	for _, name := range []primitives.ServiceName{
		primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
	} {
		hosts[name] = static.SingleLocalHost(address(cfg, string(name)))
	}
	return temporal.NewServer(
		temporal.WithConfig(conf),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithLogger(log.NewZapLogger(log.BuildZapLogger(conf.Log))),
		temporal.WithAuthorizer(authorization.NewDefaultAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return claimMapper{cfg.Roles, cfg.Namespace} }),
		temporal.WithDynamicConfigClient(tuning()),
	)
}

// newUI serves the web UI. It knows no TLS of its own, so it listens on loopback in clear, and everyone who reaches
// that address sees what its certificate, the reader's, may see. Nobody can change anything through it: Temporal itself
// refuses a reader's writes, whatever the UI is made to send.
func newUI(cfg system.TemporalConfig) *uiserver.Server {
	return uiserver.NewServer(server_options.WithConfigProvider(&uiconfig.Config{
		Host: loopbackIP, Port: cfg.Ports["ui"], TemporalGRPCAddress: address(cfg, "frontend"),
		EnableUI: true, HideLogs: true, DefaultNamespace: cfg.Namespace,
		TLS: uiconfig.TLS{
			CaFile: cfg.CA, CertFile: cfg.Reader.Cert, KeyFile: cfg.Reader.Key, EnableHostVerification: true, ServerName: serverName,
		},
		DisableWriteActions: true, WorkflowTerminateDisabled: true, WorkflowCancelDisabled: true, WorkflowSignalDisabled: true,
		WorkflowUpdateDisabled: true, WorkflowResetDisabled: true, BatchActionsDisabled: true, StartWorkflowDisabled: true,
		ActivityCommandsDisabled: true,
		CORS:                     uiconfig.CORS{CookieInsecure: true}, // its CSRF cookie must go over plain HTTP on loopback
	}))
}
