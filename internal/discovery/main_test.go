package discovery_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// stack is a real Consul, and a PowerDNS whose API speaks clear text.
var stack *stacktest.Stack

func TestMain(m *testing.M) { stacktest.Main(m, &stack, "consul", "pdns-primary") }

func config(role string) discovery.Config {
	return discovery.Config{
		Address:   stack.Env("CONSUL_HTTP_ADDR"),
		TLS:       tlsconf.Files{CA: stack.Env("CONSUL_CACERT")},
		TokenFile: filepath.Join(stack.Dir(), "secrets", "consul-"+role),
	}
}

func client(t *testing.T, role string) *discovery.Client {
	t.Helper()
	c, err := discovery.New(config(role), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// operator is Consul as an operator sees it.
func operator(t *testing.T) *api.Client {
	t.Helper()
	c, err := api.NewClient(&api.Config{
		Address: stack.Env("CONSUL_HTTP_ADDR"), Token: stack.Env("CONSUL_HTTP_TOKEN"),
		TLSConfig: api.TLSConfig{CAFile: stack.Env("CONSUL_CACERT")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// host is a registered secondary whose PowerDNS can be switched.
type host struct {
	down    atomic.Bool
	version atomic.Pointer[string]
	stop    func()
}

func (h *host) probe(context.Context) error {
	if h.down.Load() {
		return errors.New("PowerDNS does not answer by DNS")
	}
	return nil
}

// register runs a registration until the test ends or stop is called.
func register(t *testing.T, id string) *host {
	t.Helper()
	h := &host{}
	first := "4.7.3"
	h.version.Store(&first)
	r := &discovery.Registration{
		Client: client(t, "secondary-1"), Service: discovery.ServiceSecondary, ID: id, DNSAddress: "192.0.2.1:53",
		Tags: []string{"dns"}, Version: "1.2.3", PDNSVersion: func(context.Context) string { return *h.version.Load() },
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx, h.probe) })
	h.stop = func() { cancel(); running.Wait() }
	t.Cleanup(h.stop)
	return h
}

// waitFor waits until Consul says of the secondary what is wanted.
func waitFor(t *testing.T, c *discovery.Client, id, what string, want func(i discovery.Instance, known bool) bool) {
	t.Helper()
	eventually.True(t, what, func() bool {
		found, err := c.Reachable(t.Context(), discovery.ServiceSecondary)
		i, known := found[id]
		return err == nil && want(i, known)
	})
}

func passing(i discovery.Instance, known bool) bool { return known && i.Passing }
func failing(i discovery.Instance, known bool) bool { return known && !i.Passing }
func absent(_ discovery.Instance, known bool) bool  { return !known }
