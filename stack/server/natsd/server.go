// Package natsd runs the NATS server as a process of its own, from a configuration file of the server's own format.
package natsd

import (
	"fmt"

	"github.com/nats-io/nats-server/v2/server"
)

// Serve runs until SIGTERM or SIGINT, which the server handles itself: it closes its streams in order.
func Serve(configFile string) error {
	opts, err := server.ProcessConfigFile(configFile)
	if err != nil {
		return fmt.Errorf("read %s: %w", configFile, err)
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("set up NATS: %w", err)
	}
	srv.ConfigureLogger()
	if err := server.Run(srv); err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	srv.WaitForShutdown()
	return nil
}
