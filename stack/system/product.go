package system

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"text/template"
	"time"
)

// productSlack is the TimerSlackNSec= of the units in deploy/systemd.
const productSlack = time.Millisecond

// product is one process of pdns-distribute. Its name is its role in the certificates too.
func product(name string, phase int) component {
	role, port := "secondary", name+".transfer"
	if isPrimary(name) {
		role, port = "primary", name+".proxy"
	}
	return component{
		name: name, phase: phase, port: port, slack: productSlack,
		command: func(s *System) ([]string, error) {
			if _, err := os.Stat(s.programs.product); err != nil {
				return nil, fmt.Errorf("pdns-distribute is not built (%w): run stack/setup.sh, or `make demo`, which does", err)
			}
			return []string{s.programs.product, role, "--config", s.ConfigPath(name)}, nil
		},
		ready: readyProduct(name),
	}
}

func readyProduct(name string) func(context.Context, *System) error {
	return func(ctx context.Context, s *System) error {
		st, err := s.readState()
		if err != nil {
			return err
		}
		return answers(ctx, "http://"+loopback(st.Ports[name+".metrics"])+"/readyz", nil)
	}
}

// primaryPart is a process that runs one part of the primary: with the primary's configuration, but for what processes of
// one host cannot share.
func primaryPart(name, part string) component {
	c := product(RolePrimary, phasePrimary)
	whole := c.command
	c.name, c.ready = name, readyProduct(name)
	if name != RolePrimary {
		c.port = name + ".metrics"
	}
	c.command = func(s *System) ([]string, error) {
		argv, err := whole(s)
		if err != nil {
			return nil, err
		}
		st, err := s.readState()
		if err != nil {
			return nil, err
		}
		argv = append(argv, "--set", "host.state_dir="+s.path("data", name), "--set", "metrics.listen="+loopback(st.Ports[name+".metrics"]))
		for _, each := range []string{"proxy", "trigger", "worker"} {
			argv = append(argv, "--set", fmt.Sprintf("primary.%s=%t", each, each == part))
		}
		return argv, nil
	}
	return c
}

var productNames = []string{RolePrimary, RolePrimary2, RoleSecondary1, RoleSecondary2}

// isPrimary tells a primary's process or role from a secondary's.
func isPrimary(name string) bool { return name == RolePrimary || name == RolePrimary2 }

var productConfig = template.Must(template.New("config").Parse(`# Made by the stack; secrets are in the files named here.
[host]
id = "{{.ID}}"
state_dir = "{{.StateDir}}"

[log]
level = "info"
format = "text"

[metrics]
listen = "{{.Metrics}}"

[powerdns]
api_url = "{{.APIURL}}"
api_key_file = "{{.APIKeyFile}}"
dns_address = "{{.DNSAddress}}"

[nats]
urls = ["{{.NATSURL}}"]
ca_file = "{{.CA}}"
user = "{{.Role}}"
password_file = "{{.NATSPasswordFile}}"
replicas = 1

[consul]
address = "{{.ConsulURL}}"
ca_file = "{{.CA}}"
token_file = "{{.ConsulTokenFile}}"

[temporal]
address = "{{.TemporalAddress}}"
namespace = "{{.TemporalNamespace}}"
ca_file = "{{.CA}}"
cert_file = "{{.Cert}}"
key_file = "{{.Key}}"
server_name = "localhost"
{{if .MaxLag}}
[primary]
max_lag = "{{.MaxLag}}" # short, so that trying out faults does not take minutes
{{end}}{{if .Proxy}}
[proxy]
listen = "{{.Proxy}}"
cert_file = "{{.ProxyCert}}"
key_file = "{{.ProxyKey}}"
{{else}}
[secondary]
transfer_address = "{{.Transfer}}"
advertise_dns_address = "{{.DNSAddress}}"
{{end}}{{.Settings}}`))

// writeProductConfig writes DIR/config/NAME.toml, also for a process that is not started: tests take their connection
// settings from it. settings are lines to add.
func (s *System) writeProductConfig(st *state, name, settings string) error {
	nameserver, id := "pdns-"+name, name
	fields := map[string]string{"Settings": settings}
	if name == RolePrimary {
		id = "primary-1"
	}
	if isPrimary(name) {
		switch {
		case s.topology.Standby:
			fields["MaxLag"] = "60s" // more than it takes to find out, on a busy machine, that the other primary is dead
		case s.topology.replicated():
			fields["MaxLag"] = "12s"
		}
		fields["Proxy"] = loopback(st.Ports[name+".proxy"])
		fields["ProxyCert"], fields["ProxyKey"] = s.certPath("proxy"), s.keyPath("proxy")
	} else {
		fields["Transfer"] = loopback(st.Ports[name+".transfer"])
	}
	fields["ID"], fields["Role"], fields["StateDir"] = id, name, s.path("data", name)
	fields["Metrics"] = loopback(st.Ports[name+".metrics"])
	fields["APIURL"], fields["DNSAddress"] = pdnsURL(st, nameserver), loopback(st.Ports[nameserver+".dns"])
	fields["APIKeyFile"] = s.secretPath(apiKeyName(nameserver))
	fields["NATSURL"], fields["NATSPasswordFile"] = natsURL(st), s.secretPath("nats-"+name)
	fields["ConsulURL"], fields["ConsulTokenFile"] = "https://"+loopback(st.Ports["consul.https"]), s.secretPath("consul-"+name)
	fields["TemporalAddress"], fields["TemporalNamespace"] = loopback(st.Ports["temporal.frontend"]), TemporalNamespace
	fields["CA"], fields["Cert"], fields["Key"] = s.certPath("ca"), s.certPath(name), s.keyPath(name)
	var out bytes.Buffer
	if err := productConfig.Execute(&out, fields); err != nil {
		return err
	}
	if err := os.MkdirAll(fields["StateDir"], 0o700); err != nil {
		return err
	}
	return writeSecretFile(s.ConfigPath(name), out.Bytes())
}

// Reconfigure starts a process of the product again with its configuration changed.
func (s *System) Reconfigure(ctx context.Context, name string, change func(string) string) error {
	settings, err := os.ReadFile(s.ConfigPath(name))
	if err != nil {
		return err
	}
	if err := s.Stop(ctx, name); err != nil {
		return err
	}
	if err := writeSecretFile(s.ConfigPath(name), []byte(change(string(settings)))); err != nil {
		return err
	}
	return s.Start(ctx, name)
}
