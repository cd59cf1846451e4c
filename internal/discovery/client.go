// Package discovery tells Consul that a role runs here and asks it which
// others are reachable. Consul only ever says who answers now; who must be
// reached is the roster's to say.
package discovery

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/consul/api"

	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// The services that the roles register as.
const (
	ServicePrimary   = "pdns-primary"
	ServiceSecondary = "pdns-secondary"
	ServiceProxy     = "pdns-api-proxy"
)

// Keys of a service's meta data.
const (
	metaID          = "id"
	metaDNSAddress  = "dns_address"
	metaVersion     = "version"
	metaPDNSVersion = "pdns_version"
)

// requestTimeout bounds every question but the watch's.
const requestTimeout = 5 * time.Second

// Config says where the Consul agent is.
type Config struct {
	// Address is the agent's HTTPS API, https://host:port.
	Address string
	// TLS names the CA and, where the agent asks for one, our certificate.
	TLS tlsconf.Files
	// TokenFile holds the ACL token.
	TokenFile string
}

// Client speaks to a Consul agent; safe for concurrent use.
type Client struct {
	consul *api.Client
	log    *slog.Logger
}

// New returns a client. It asks nothing yet; an error means that the
// configuration can never work, and names the key.
func New(cfg Config, log *slog.Logger) (*Client, error) {
	address, err := url.Parse(cfg.Address)
	if err != nil || address.Scheme != "https" || address.Host == "" || address.User != nil {
		return nil, errors.New("consul.address must be written https://host:port")
	}
	if cfg.TokenFile == "" {
		return nil, errors.New("consul.token_file is not set: an ACL token is required")
	}
	token, err := os.ReadFile(cfg.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("consul.token_file: %w", err)
	}
	encryption, err := tlsconf.Client(cfg.TLS)
	if err != nil {
		return nil, fmt.Errorf("consul.ca_file, consul.cert_file or consul.key_file: %w", err)
	}
	// The library's own transport would take settings from the environment
	// (CONSUL_HTTP_SSL_VERIFY among them), which are not ours.
	transport := &http.Transport{
		TLSClientConfig:     encryption,
		TLSHandshakeTimeout: requestTimeout,
		IdleConnTimeout:     time.Minute,
		ForceAttemptHTTP2:   true,
	}
	consul, err := api.NewClient(&api.Config{
		Address:    address.Host,
		Scheme:     "https",
		Token:      strings.TrimSpace(string(token)),
		HttpClient: &http.Client{Transport: transport},
	})
	if err != nil {
		return nil, fmt.Errorf("consul client: %w", err)
	}
	return &Client{consul: consul, log: log}, nil
}

// Instance is one registered host of a service.
type Instance struct {
	// ID is the host's ID.
	ID string
	// DNSAddress is the host:port that its PowerDNS answers at.
	DNSAddress string
	// Version and PDNSVersion are those of pdns-distribute and PowerDNS there.
	Version, PDNSVersion string
	// Passing says that all its checks pass.
	Passing bool
}

// Reachable returns all registered instances of a service by host ID, those
// that do not pass their check too. An error means unknown, never none.
func (c *Client) Reachable(ctx context.Context, service string) (map[string]Instance, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	found, _, err := c.instances(ctx, service, api.QueryOptions{})
	return found, err
}

func (c *Client) instances(ctx context.Context, service string, query api.QueryOptions) (map[string]Instance, *api.QueryMeta, error) {
	entries, meta, err := c.consul.Health().Service(service, "", false, query.WithContext(ctx))
	if err != nil {
		return nil, nil, fmt.Errorf("ask Consul for %s: %w", service, explain(err))
	}
	found := make(map[string]Instance, len(entries))
	for _, entry := range entries {
		of := entry.Service.Meta
		instance := Instance{
			ID: of[metaID], DNSAddress: of[metaDNSAddress], Version: of[metaVersion], PDNSVersion: of[metaPDNSVersion],
			Passing: entry.Checks.AggregatedStatus() == api.HealthPassing,
		}
		// A host that moved to another agent is listed by both until the old
		// one is gone: the one that passes counts.
		if instance.ID != "" && !found[instance.ID].Passing {
			found[instance.ID] = instance
		}
	}
	return found, meta, nil
}

// explain adds to an error what to look at.
func explain(err error) error {
	var (
		status    api.StatusError
		unknownCA x509.UnknownAuthorityError
		hostname  x509.HostnameError
	)
	var hint string
	switch {
	case errors.As(err, &status) && (status.Code == http.StatusForbidden || status.Code == http.StatusUnauthorized):
		hint = "the token in consul.token_file is not known or lacks service:write and node:read"
	case errors.As(err, &unknownCA):
		hint = "the certificate is not signed by an authority in consul.ca_file"
	case errors.As(err, &hostname):
		hint = "the certificate is not for the host in consul.address"
	case strings.Contains(err.Error(), "remote error: tls"):
		hint = "the agent refused our certificate, look at consul.cert_file and consul.key_file"
	case strings.Contains(err.Error(), "server gave HTTP response to HTTPS client"), strings.Contains(err.Error(), "first record does not look like a TLS handshake"):
		hint = "the port in consul.address speaks clear text, name the agent's HTTPS port"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, hint)
}
