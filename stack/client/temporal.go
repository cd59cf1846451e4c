package client

import (
	"crypto/tls"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
)

// Temporal connects, at the first call, as the operator of the system that env describes. The caller closes it.
func Temporal(env map[string]string) (client.Client, error) {
	cert, err := tls.LoadX509KeyPair(env["TEMPORAL_TLS_CERT"], env["TEMPORAL_TLS_KEY"])
	if err != nil {
		return nil, err
	}
	pool, err := roots(env["TEMPORAL_TLS_CA"])
	if err != nil {
		return nil, err
	}
	return client.NewLazyClient(client.Options{
		HostPort: env["TEMPORAL_ADDRESS"], Namespace: env["TEMPORAL_NAMESPACE"], Logger: quiet{},
		ConnectionOptions: client.ConnectionOptions{TLS: &tls.Config{
			Certificates: []tls.Certificate{cert}, RootCAs: pool, ServerName: "localhost", MinVersion: tls.VersionTLS12,
		}},
	})
}

// quiet drops the SDK's own lines: what matters comes back as an error.
type quiet struct{}

var _ log.Logger = quiet{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}
