package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/interceptor"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/probe"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
)

// connections are what every role speaks to. None of them needs its server to
// answer when it is made: a host starts in any order.
type connections struct {
	conf       *config.Config
	broker     broker.Config
	nats       *nats.Conn
	jetStream  jetstream.JetStream
	versions   *versions.Store
	roster     *roster.Roster
	consul     *discovery.Client
	temporal   client.Client
	dispatcher *dispatch.Dispatcher
	dns        *query.Client
	// probe asks whether the PowerDNS on this host works.
	probe *probe.PowerDNS
	// reconnected holds a token when the connection to NATS stands again.
	reconnected chan struct{}
}

// connect makes the connections.
func connect(ctx context.Context, conf *config.Config, logger *slog.Logger) (*connections, error) {
	c := &connections{conf: conf, broker: brokerConfig(conf), dns: &query.Client{}, reconnected: make(chan struct{}, 1)}
	c.broker.OnReconnect = func() {
		select {
		case c.reconnected <- struct{}{}:
		default:
		}
	}
	c.probe = &probe.PowerDNS{API: c.powerDNS(), DNS: query.Local{Client: c.dns, Server: conf.PowerDNS.DNSAddress}}
	var err error
	if c.nats, c.jetStream, err = broker.Connect(ctx, c.broker, c.name(), logger); err != nil {
		return nil, err
	}
	c.versions, c.roster = versions.New(c.jetStream), roster.New(c.jetStream)
	if c.consul, err = discovery.New(discovery.Config{
		Address: conf.Consul.Address, TokenFile: conf.Consul.TokenFile,
		TLS: tlsconf.Files{CA: conf.Consul.CAFile, Cert: conf.Consul.CertFile, Key: conf.Consul.KeyFile},
	}, logger); err != nil {
		c.close()
		return nil, err
	}
	of, err := temporalConfig(conf)
	if err != nil {
		c.close()
		return nil, err
	}
	if c.temporal, err = temporal.Dial(ctx, of, logger); err != nil {
		c.close()
		return nil, err
	}
	c.dispatcher = &dispatch.Dispatcher{Client: c.temporal}
	return c, nil
}

// name is what the connection to NATS is called there.
func (c *connections) name() string {
	return "pdns-distribute " + string(c.conf.Role) + " " + c.conf.Host.ID
}

// withReason adds to what a command failed with why NATS is not there, where that is so.
func (c *connections) withReason(err error) error {
	if err == nil || c.nats.Status() == nats.CONNECTED {
		return err
	}
	return errors.Join(err, broker.Reach(c.broker, c.name()))
}

func (c *connections) close() {
	if c.temporal != nil {
		c.temporal.Close()
	}
	c.nats.Close()
}

// onReconnect calls each of notices when the connection to NATS stands again,
// until ctx ends.
func (c *connections) onReconnect(ctx context.Context, notices ...func()) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.reconnected:
			for _, notice := range notices {
				notice()
			}
		}
	}
}

// powerDNS is the client of the PowerDNS on this host.
func (c *connections) powerDNS() *api.Client {
	return api.New(c.conf.PowerDNS.APIURL, c.conf.PowerDNS.APIKey.Reveal())
}

func (c *connections) registration(service, dnsAddress string, tags ...string) *discovery.Registration {
	return &discovery.Registration{
		Client: c.consul, Service: service, ID: c.conf.Host.ID, DNSAddress: dnsAddress, Tags: tags,
		Version: version(), PDNSVersion: c.probe.Version,
	}
}

// natsReady is a readiness check.
func (c *connections) natsReady(context.Context) error {
	if status := c.nats.Status(); status != nats.CONNECTED {
		return fmt.Errorf("not connected to NATS (%s)", status)
	}
	return nil
}

func (c *connections) temporalReady(ctx context.Context) error {
	return temporal.Ready(ctx, c.temporal, c.conf.Temporal.Namespace)
}

func brokerConfig(conf *config.Config) broker.Config {
	n, e := conf.NATS, conf.Events
	return broker.Config{
		URLs: n.URLs, TLS: tlsconf.Files{CA: n.CAFile, Cert: n.CertFile, Key: n.KeyFile},
		CredsFile: n.CredsFile, User: n.User, PasswordFile: n.PasswordFile, Replicas: n.Replicas,
		Subjects: []string{e.SubjectAdd, e.SubjectModified, e.SubjectDelete},
	}
}

func temporalConfig(conf *config.Config) (temporal.Config, error) {
	t := conf.Temporal
	of := temporal.Config{
		Address: t.Address, Namespace: t.Namespace, APIKeyFile: t.APIKeyFile,
		TLS: tlsconf.Files{CA: t.CAFile, Cert: t.CertFile, Key: t.KeyFile, ServerName: t.ServerName},
	}
	if conf.Tracing.OTLPURL == "" || conf.Role == config.RoleClient {
		return of, nil
	}
	traced, err := telemetry.TemporalInterceptor()
	of.Interceptors = []interceptor.ClientInterceptor{traced}
	return of, err
}

// errNotReady is what a readiness check says of workers that wait.
var errNotReady = errors.New("the workers are not running: the local PowerDNS or Temporal does not answer")
