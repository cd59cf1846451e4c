package discovery_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
)

func TestNewRefusesWhatCanNeverWork(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name string
		edit func(*discovery.Config)
		want string
	}{
		{"no address", func(c *discovery.Config) { c.Address = "" }, "consul.address"},
		{"clear text", func(c *discovery.Config) { c.Address = "http://127.0.0.1:8500" }, "consul.address must be written https://"},
		{"no token", func(c *discovery.Config) { c.TokenFile = "" }, "consul.token_file is not set"},
		{"token file missing", func(c *discovery.Config) { c.TokenFile = none }, "consul.token_file: open"},
		{"CA missing", func(c *discovery.Config) { c.TLS.CA = none }, "consul.ca_file"},
	} {
		cfg := config("secondary-1")
		c.edit(&cfg)
		if _, err := discovery.New(cfg, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestFaultsNameTheKey(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("9f8e7d6c-0000-0000-0000-000000000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*discovery.Config)
		want string
	}{
		{"wrong token", func(c *discovery.Config) { c.TokenFile = token }, "the token in consul.token_file"},
		{"other authority", func(c *discovery.Config) { c.TLS.CA = "../broker/testdata/other-ca.crt" }, "not signed by an authority in consul.ca_file"},
		{"other name", func(c *discovery.Config) { c.TLS.ServerName = "consul.example" }, "not for the host in consul.address"},
		{"clear text", func(c *discovery.Config) {
			c.Address = strings.Replace(stack.Env("PRIMARY_API_URL"), "http:", "https:", 1)
		}, "speaks clear text"},
		{"nothing there", func(c *discovery.Config) { c.Address = "https://127.0.0.1:1" }, "connection refused"},
	} {
		cfg := config("secondary-1")
		c.edit(&cfg)
		consul, err := discovery.New(cfg, nil)
		if err != nil {
			t.Fatal(err)
		}
		found, err := consul.Reachable(t.Context(), discovery.ServiceSecondary)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, %v; want %q", c.name, found, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "9f8e7d6c") {
			t.Errorf("%s: the error shows the token", c.name)
		}
	}
}

func TestRegistration(t *testing.T) {
	c := client(t, "primary")
	h := register(t, "secondary-1")
	waitFor(t, c, "secondary-1", "registered and passing", passing)
	found, err := c.Reachable(t.Context(), discovery.ServiceSecondary)
	want := discovery.Instance{ID: "secondary-1", DNSAddress: "192.0.2.1:53", Version: "1.2.3", PDNSVersion: "4.7.3", Passing: true}
	if err != nil || len(found) != 1 || found["secondary-1"] != want {
		t.Errorf("found %+v, %v", found, err)
	}
	if found, err := c.Reachable(t.Context(), discovery.ServiceProxy); err != nil || len(found) != 0 {
		t.Errorf("of another service: %+v, %v", found, err)
	}
	checks, _, err := operator(t).Health().Checks(discovery.ServiceSecondary, nil)
	if err != nil || len(checks) != 1 {
		t.Fatalf("checks are %v, %v", checks, err)
	}
	if checks[0].ServiceID != "pdns-secondary-secondary-1" || checks[0].Definition.DeregisterCriticalServiceAfterDuration != 0 || checks[0].Type != "ttl" {
		t.Errorf("the check is %+v", checks[0])
	}

	h.down.Store(true)
	upgraded := "5.0.1"
	h.version.Store(&upgraded)
	waitFor(t, c, "secondary-1", "critical", failing)
	eventually.True(t, "the reason shows in Consul", func() bool {
		checks, _, err := operator(t).Health().Checks(discovery.ServiceSecondary, nil)
		return err == nil && len(checks) == 1 && strings.Contains(checks[0].Output, "PowerDNS does not answer by DNS")
	})
	h.down.Store(false)
	waitFor(t, c, "secondary-1", "passing again, with the new version of PowerDNS", func(i discovery.Instance, known bool) bool {
		return passing(i, known) && i.PDNSVersion == upgraded
	})

	h.stop()
	waitFor(t, c, "secondary-1", "deregistered", absent)
}

func TestForgottenRegistrationComesBack(t *testing.T) {
	c := client(t, "primary")
	register(t, "secondary-1")
	waitFor(t, c, "secondary-1", "registered and passing", passing)
	if err := operator(t).Agent().ServiceDeregister("pdns-secondary-secondary-1"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, c, "secondary-1", "forgotten", absent)
	waitFor(t, c, "secondary-1", "registered again", passing)
}

func TestRegistrationOutlivesConsul(t *testing.T) {
	c := client(t, "primary")
	stack.Stop(t, "consul")
	h := register(t, "secondary-1")
	stack.StartProc(t, "consul")
	waitFor(t, c, "secondary-1", "registered once Consul is there", passing)
	stack.Kill(t, "consul")
	stack.StartProc(t, "consul")
	waitFor(t, c, "secondary-1", "passing after Consul was killed", passing)
	stack.Pause(t, "consul")
	if _, err := c.Reachable(t.Context(), discovery.ServiceSecondary); err == nil {
		t.Error("a hanging Consul has an answer")
	}
	stack.Resume(t, "consul")
	h.down.Store(true)
	waitFor(t, c, "secondary-1", "failing after Consul hung", failing)
	h.down.Store(false)
	waitFor(t, c, "secondary-1", "passing after Consul hung", passing)
	h.stop()
	waitFor(t, c, "secondary-1", "deregistered", absent)
}

func TestDeadHostStaysAsCritical(t *testing.T) {
	service := &api.AgentServiceRegistration{
		ID: "pdns-secondary-dead", Name: discovery.ServiceSecondary, Meta: map[string]string{"id": "dead"},
		Check: &api.AgentServiceCheck{TTL: "10s", Status: api.HealthCritical},
	}
	if err := operator(t).Agent().ServiceRegister(service); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = operator(t).Agent().ServiceDeregister(service.ID) }()
	waitFor(t, client(t, "primary"), "dead", "listed as not passing", failing)
}
