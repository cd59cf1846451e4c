package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
)

const (
	// ttl is how long Consul takes a host for healthy without news.
	ttl = 10 * time.Second
	// pushEvery is how often the news is sent; two may be lost.
	pushEvery = 3 * time.Second
	// probeTimeout bounds asking PowerDNS, so that a hanging one is reported
	// in time.
	probeTimeout = 2500 * time.Millisecond
	// outputLimit bounds, in bytes, what Consul shows of a failure.
	outputLimit = 512
)

// Registration is one role of this host as Consul shows it.
type Registration struct {
	Client *Client
	// Service is one of the Service constants.
	Service string
	// ID is the host's ID.
	ID string
	// DNSAddress is the host:port that PowerDNS answers at; for the proxy where
	// it listens.
	DNSAddress string
	// Tags are shown in Consul and can be searched for.
	Tags []string
	// Version is that of pdns-distribute.
	Version string
	// PDNSVersion asks for that of PowerDNS; "" where it does not answer.
	// Called once at each return of PowerDNS. Optional.
	PDNSVersion func(context.Context) string
}

// Run registers the role and tells Consul every 3 s what probe says: nil is
// passing, an error critical, with its text shown. An agent that is away is
// tried on; one that forgot the role gets it again. When ctx ends the role is
// deregistered. Where that fails, which is logged, it stays registered as critical,
// as that of a host that died does: a stale secondary is to be seen, not to vanish.
func (r *Registration) Run(ctx context.Context, probe func(context.Context) error) {
	pusher := pusher{Registration: r, state: outage.Log{Logger: r.Client.log, What: "Consul registration of " + r.Service}}
	tick := time.NewTicker(pushEvery)
	defer tick.Stop()
	for {
		pusher.push(ctx, probe)
		select {
		case <-ctx.Done():
			if err := r.deregister(ctx); err != nil {
				r.Client.log.Warn("still registered", "error", err)
			}
			return
		case <-tick.C:
		}
	}
}

// pusher is the state of one Run.
type pusher struct {
	*Registration
	state       outage.Log
	registered  bool
	passing     bool
	pdnsVersion string
}

func (p *pusher) push(ctx context.Context, probe func(context.Context) error) {
	found := p.ask(ctx, probe)
	if ctx.Err() != nil {
		return
	}
	status, output := api.HealthPassing, "PowerDNS answers by DNS and API"
	if found != nil {
		status, output = api.HealthCritical, found.Error()
		output = strings.ToValidUTF8(output[:min(len(output), outputLimit)], "")
	}
	if found == nil && !p.passing {
		p.notePDNSVersion(ctx)
	}
	p.passing = found == nil
	if err := p.tell(ctx, status, output); err != nil {
		p.state.Failed(err, "service", p.Service)
		return
	}
	p.state.OK("service", p.Service)
}

func (p *pusher) ask(ctx context.Context, probe func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	return probe(ctx)
}

// notePDNSVersion has the role registered again when PowerDNS came back with
// another version.
func (p *pusher) notePDNSVersion(ctx context.Context) {
	if p.PDNSVersion == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	if version := p.PDNSVersion(ctx); version != "" && version != p.pdnsVersion {
		p.pdnsVersion, p.registered = version, false
	}
}

// tell sends the state of the check, and the registration first where the
// agent does not have it.
func (p *pusher) tell(ctx context.Context, status, output string) error {
	if p.registered {
		err := p.update(ctx, status, output)
		var refused api.StatusError
		if !errors.As(err, &refused) {
			return err
		}
		p.registered = false // most likely forgotten; anything else shows on registering
	}
	if err := p.register(ctx, status); err != nil {
		return err
	}
	p.registered = true
	return p.update(ctx, status, output)
}

func (p *pusher) update(ctx context.Context, status, output string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	err := p.Client.consul.Agent().UpdateTTLOpts("service:"+p.serviceID(), output, status, (&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return fmt.Errorf("tell Consul the state of %s: %w", p.serviceID(), explain(err))
	}
	return nil
}

func (p *pusher) register(ctx context.Context, status string) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	host, port := splitAddress(p.DNSAddress)
	service := &api.AgentServiceRegistration{
		ID: p.serviceID(), Name: p.Service, Tags: p.Tags, Address: host, Port: port,
		Meta: map[string]string{
			metaID: p.ID, metaDNSAddress: p.DNSAddress,
			metaVersion: p.Version, metaPDNSVersion: p.pdnsVersion,
		},
		// No DeregisterCriticalServiceAfter: see Run.
		Check: &api.AgentServiceCheck{
			Name: "PowerDNS, asked by pdns-distribute", TTL: ttl.String(), Status: status,
		},
	}
	opts := api.ServiceRegisterOpts{ReplaceExistingChecks: true}.WithContext(ctx)
	if err := p.Client.consul.Agent().ServiceRegisterOpts(service, opts); err != nil {
		return fmt.Errorf("register %s in Consul: %w", p.serviceID(), explain(err))
	}
	return nil
}

func (r *Registration) deregister(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), requestTimeout)
	defer cancel()
	err := r.Client.consul.Agent().ServiceDeregisterOpts(r.serviceID(), (&api.QueryOptions{}).WithContext(ctx))
	var status api.StatusError
	if errors.As(err, &status) && status.Code == 404 {
		return nil // never registered, or forgotten
	}
	if err != nil {
		return fmt.Errorf("deregister %s from Consul: %w", r.serviceID(), explain(err))
	}
	return nil
}

// serviceID is stable, so that a restart takes over the registration.
func (r *Registration) serviceID() string { return r.Service + "-" + r.ID }

// splitAddress returns host and port of host:port, nothing where it is none.
func splitAddress(address string) (string, int) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", 0
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return "", 0
	}
	return host, int(number)
}
