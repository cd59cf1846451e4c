package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	// A request's head must come within this time and size; PowerDNS itself
	// gives a client 5 s (webserver-connection-timeout, 4.8.5).
	readHeaderTimeout = 10 * time.Second
	maxHeaderBytes    = 128 << 10
	idleTimeout       = 2 * time.Minute
	// shutdownGrace is how long requests under way may take at the end.
	shutdownGrace = 10 * time.Second
)

// Run serves on cfg.Listen until ctx is done, then lets requests and events
// under way end, and closes the outbox. A proxy runs once.
func (p *Proxy) Run(ctx context.Context) error {
	listener, err := net.Listen("tcp", p.cfg.Listen)
	if err != nil {
		return errors.Join(fmt.Errorf("proxy.listen: %w", err), p.relay.close())
	}
	return p.Serve(ctx, listener)
}

// Serve is Run on a listener of the caller's, which it closes.
func (p *Proxy) Serve(ctx context.Context, listener net.Listener) error {
	conf, err := p.serverTLS()
	if err != nil {
		return errors.Join(err, listener.Close(), p.relay.close())
	}
	srv := &http.Server{
		Handler:           p,
		TLSConfig:         conf,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// Scanners' failed handshakes, mostly.
		ErrorLog: slog.NewLogLogger(p.log.Handler(), slog.LevelDebug),
	}
	draining, stopDraining := context.WithCancel(ctx)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		p.relay.run(draining)
	}()
	served := make(chan error, 1)
	go func() { served <- srv.ServeTLS(listener, "", "") }()
	p.log.Info("api-proxy serves", "listen", listener.Addr().String(), "powerdns", p.upstream.String(), "pending_events", p.relay.outbox.pending())

	select {
	case err = <-served: // never without a reason
		err = fmt.Errorf("api-proxy: %w", err)
	case <-ctx.Done():
		err = nil
	}
	stopDraining()
	<-drained
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownGrace)
	defer cancel()
	if e := srv.Shutdown(grace); e != nil {
		// Some requests go on. Their intents stay in the outbox, whose file ends
		// with the process.
		p.log.Warn("api-proxy: ended with requests still under way; their changes are published at the next start", "after", shutdownGrace, "error", e)
		return errors.Join(err, srv.Close())
	}
	return errors.Join(err, p.relay.close())
}
