// Package temporal connects to Temporal, over TLS and with a client certificate
// or an API key only, and makes what the system needs there: its search
// attributes and its schedules.
package temporal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

const (
	// requestTimeout bounds one question.
	requestTimeout = 5 * time.Second
	// retryEvery is the pause between attempts of [WaitReady].
	retryEvery = time.Second
)

// Config says where Temporal is and who we are there.
type Config struct {
	// Address is host:port of the frontend; always spoken to over TLS.
	Address string
	// Namespace must exist.
	Namespace string
	// TLS names the CA, the server's name where it differs from the address,
	// and our certificate where that is how we log in.
	TLS tlsconf.Files
	// APIKeyFile holds an API key; read again at each call, so that a renewed
	// one is used.
	APIKeyFile string
	// Interceptors see each call, and what workers run; usually none.
	Interceptors []interceptor.ClientInterceptor
}

// Dial returns a client at once, also while Temporal is down: it connects when
// it is first used, and again after an outage. An error means that the
// configuration can never work; it names the key. Whether Temporal answers is
// asked once and logged. A worker must be started after [WaitReady], since it
// gives up when Temporal is not there.
func Dial(ctx context.Context, cfg Config, logger *slog.Logger) (client.Client, error) {
	options, err := cfg.options()
	if err != nil {
		return nil, err
	}
	options.Logger = log.NewStructuredLogger(logger)
	c, err := client.NewLazyClient(options)
	if err != nil {
		return nil, fmt.Errorf("temporal client: %w", err)
	}
	if err := Ready(ctx, c, cfg.Namespace); err != nil {
		logger.Warn("Temporal does not answer yet, trying again when it is needed", "error", err)
	}
	return c, nil
}

func (cfg Config) options() (client.Options, error) {
	if cfg.Address == "" {
		return client.Options{}, errors.New("temporal.address is not set, it must be host:port")
	}
	if strings.Contains(cfg.Address, "://") {
		return client.Options{}, errors.New("temporal.address must be host:port, without a scheme: TLS is always used")
	}
	if cfg.TLS.Cert == "" && cfg.APIKeyFile == "" {
		return client.Options{}, errors.New("temporal: no credentials: set temporal.cert_file with temporal.key_file, or temporal.api_key_file")
	}
	encryption, err := tlsconf.Client(cfg.TLS)
	if err != nil {
		return client.Options{}, fmt.Errorf("temporal.ca_file, temporal.cert_file or temporal.key_file: %w", err)
	}
	options := client.Options{
		HostPort:     cfg.Address,
		Namespace:    cfg.Namespace,
		Interceptors: cfg.Interceptors,
		ConnectionOptions: client.ConnectionOptions{
			TLS: encryption,
			// A frontend that hangs without closing is noticed within 15 s.
			KeepAliveTime:        10 * time.Second,
			KeepAliveTimeout:     5 * time.Second,
			GetSystemInfoTimeout: requestTimeout,
		},
	}
	if cfg.APIKeyFile == "" {
		return options, nil
	}
	if _, err := cfg.apiKey(); err != nil {
		return client.Options{}, err
	}
	options.Credentials = client.NewAPIKeyDynamicCredentials(func(context.Context) (string, error) { return cfg.apiKey() })
	return options, nil
}

func (cfg Config) apiKey() (string, error) {
	data, err := os.ReadFile(cfg.APIKeyFile)
	if err != nil {
		return "", fmt.Errorf("temporal.api_key_file: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

// Ready reports whether Temporal answers, knows the namespace and lets us in;
// the error names the key of the configuration to look at.
func Ready(ctx context.Context, c client.Client, namespace string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// The lazy client connects with this; a call of the service alone would
	// not tell why it cannot.
	if _, err := c.CheckHealth(ctx, &client.CheckHealthRequest{}); err != nil {
		return Explain(err)
	}
	_, err := c.WorkflowService().DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: namespace})
	return Explain(err)
}

// WaitReady returns once [Ready] does not fail, or ctx ends, whose error it
// then returns. It logs why it waits.
func WaitReady(ctx context.Context, c client.Client, namespace string, logger *slog.Logger) error {
	state := outage.Log{Logger: logger, What: "Temporal"}
	tick := time.NewTicker(retryEvery)
	defer tick.Stop()
	for {
		err := Ready(ctx, c, namespace)
		if err == nil {
			state.OK()
			return nil
		}
		if ctx.Err() == nil {
			state.Failed(err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// Explain adds to an error of Temporal what to look at: the key of the
// configuration that it most likely comes from. Nil stays nil.
func Explain(err error) error {
	if err == nil {
		return nil
	}
	var (
		denied    *serviceerror.PermissionDenied
		namespace *serviceerror.NamespaceNotFound
	)
	text := err.Error()
	var hint string
	switch {
	case errors.As(err, &denied), status.Code(err) == codes.PermissionDenied, status.Code(err) == codes.Unauthenticated:
		hint = "the role of temporal.cert_file or temporal.api_key_file may not do this in temporal.namespace"
	case errors.As(err, &namespace):
		hint = "temporal.namespace does not exist there"
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		hint = "the port in temporal.address speaks clear text, TLS is required"
	case strings.Contains(text, "x509: certificate signed by unknown authority"):
		hint = "the certificate is not signed by an authority in temporal.ca_file"
	case strings.Contains(text, "x509: certificate is"):
		hint = "the certificate is not for the host in temporal.address, set temporal.server_name"
	case strings.Contains(text, "remote error: tls"):
		hint = "the server refused our certificate, look at temporal.cert_file and temporal.key_file"
	case strings.Contains(text, "broken pipe"), strings.Contains(text, "connection reset by peer"):
		// Where the refusal of our certificate is overtaken by the end of the connection.
		hint = "the server closed the connection; if it always does, look at temporal.cert_file and temporal.key_file"
	case strings.Contains(text, "connection refused"), strings.Contains(text, "no such host"):
		hint = "nothing answers at temporal.address"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}
