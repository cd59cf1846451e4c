package system

import (
	"fmt"
	"strings"
)

// configure makes certificates and secrets, and writes DIR/env and the product's configuration files.
func (s *System) configure(settings string) error {
	if err := s.makePKI(); err != nil {
		return fmt.Errorf("make the certificates: %w", err)
	}
	for _, name := range s.Names() {
		if strings.HasPrefix(name, "pdns-") {
			if _, err := s.secret(apiKeyName(name)); err != nil {
				return err
			}
		}
	}
	if _, err := s.secret("nats-" + RoleProgram); err != nil {
		return err
	}
	for _, role := range append([]string{RoleOperator}, productNames...) {
		for _, server := range []string{"nats-", "consul-"} {
			if _, err := s.secret(server + role); err != nil {
				return err
			}
		}
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	for _, name := range productNames {
		if err := s.writeProductConfig(st, name, settings); err != nil {
			return fmt.Errorf("write the configuration of %s: %w", name, err)
		}
	}
	return s.writeEnv()
}

type variable struct{ key, value string }

// environment lists what DIR/env holds, in order.
func (s *System) environment() ([]variable, error) {
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	secrets := map[string]string{}
	for _, name := range []string{apiKeyName("pdns-primary"), apiKeyName("pdns-secondary-1"), "nats-" + RoleOperator, "consul-" + RoleOperator} {
		if secrets[name], err = s.secret(name); err != nil {
			return nil, err
		}
	}
	dns := func(name string) string { return loopback(st.Ports[name+".dns"]) }
	ca, cert, key := s.certPath("ca"), s.certPath(RoleOperator), s.keyPath(RoleOperator)
	temporal := loopback(st.Ports["temporal.frontend"])
	list := []variable{
		{"API_URL", "https://" + loopback(st.Ports["primary.proxy"])},
		{"API_KEY", secrets[apiKeyName("pdns-primary")]},
		{"API_CA", ca},
		{"PRIMARY_API_URL", pdnsURL(st, "pdns-primary")},
		{"PRIMARY_METRICS_URL", "http://" + loopback(st.Ports["primary.metrics"]) + "/metrics"},
		{"DNS_PRIMARY", dns("pdns-primary")},
		{"DNS_SECONDARIES", dns("pdns-secondary-1") + "," + dns("pdns-secondary-2")},
		{"SECONDARY_API_URLS", pdnsURL(st, "pdns-secondary-1") + "," + pdnsURL(st, "pdns-secondary-2")},
		{"SECONDARY_API_KEY", secrets[apiKeyName("pdns-secondary-1")]},
		{"TEMPORAL_ADDRESS", temporal},
		{"TEMPORAL_NAMESPACE", TemporalNamespace},
		{"TEMPORAL_TLS_CA", ca},
		{"TEMPORAL_TLS_CERT", cert},
		{"TEMPORAL_TLS_KEY", key},
		{"TEMPORAL_UI_URL", temporalUIURL(st)},
		// The names that the temporal and tctl commands read by themselves.
		{"TEMPORAL_TLS_SERVER_CA_CERT_PATH", ca},
		{"TEMPORAL_TLS_CLIENT_CERT_PATH", cert},
		{"TEMPORAL_TLS_CLIENT_KEY_PATH", key},
		{"TEMPORAL_CLI_ADDRESS", temporal},
		{"TEMPORAL_CLI_NAMESPACE", TemporalNamespace},
		{"TEMPORAL_CLI_TLS_CA", ca},
		{"TEMPORAL_CLI_TLS_CERT", cert},
		{"TEMPORAL_CLI_TLS_KEY", key},
		{"NATS_URL", natsURL(st)},
		{"NATS_CA", ca},
		{"NATS_USER", RoleOperator},
		{"NATS_PASSWORD", secrets["nats-"+RoleOperator]},
		{"CONSUL_HTTP_ADDR", "https://" + loopback(st.Ports["consul.https"])},
		{"CONSUL_CACERT", ca},
		{"CONSUL_HTTP_TOKEN", secrets["consul-"+RoleOperator]},
		{"PDNS_DISTRIBUTE_BIN", s.programs.product},
		{"PDNS_DISTRIBUTE_CONFIG", s.ConfigPath(RolePrimary)}, // for its commands: status, resync
		{"STACK_BIN", s.programs.stack},
		{"STACK_TOOLS", s.programs.tools},
		{"STACK_DIR", s.dir},
	}
	if s.topology.replicated() {
		list = append(list,
			variable{"API_URL_2", "https://" + loopback(st.Ports["primary-2.proxy"])},
			variable{"PRIMARY_API_URL_2", pdnsURL(st, "pdns-primary-2")},
			variable{"DNS_PRIMARY_2", dns("pdns-primary-2")})
		server, err := s.database(databaseName)
		if err != nil {
			return nil, err
		}
		list = append(list, variable{"DATABASE_URL", server.url()})
	}
	if s.topology.Standby {
		server, err := s.database(standbyName)
		if err != nil {
			return nil, err
		}
		list = append(list, variable{"STANDBY_DATABASE_URL", server.url()})
	}
	return list, nil
}

// Env returns the variables of DIR/env.
func (s *System) Env() (map[string]string, error) {
	list, err := s.environment()
	if err != nil {
		return nil, err
	}
	env := make(map[string]string, len(list))
	for _, v := range list {
		env[v.key] = v.value
	}
	return env, nil
}

// EnvPath is the file of variables, for `. FILE` in a shell.
func (s *System) EnvPath() string { return s.path("env") }

// writeEnv writes one KEY=value a line, which simple readers understand too, and exports them all at the end.
func (s *System) writeEnv() error {
	list, err := s.environment()
	if err != nil {
		return err
	}
	var out strings.Builder
	out.WriteString("# Where this system's parts are, and the keys to them. In a shell: . " + s.EnvPath() + "\n")
	keys := make([]string, 0, len(list))
	for _, v := range list {
		fmt.Fprintf(&out, "%s=%s\n", v.key, shellQuoted(v.value))
		keys = append(keys, v.key)
	}
	out.WriteString("export " + strings.Join(keys, " ") + "\n")
	return writeSecretFile(s.EnvPath(), []byte(out.String()))
}

// shellQuoted quotes only where needed (a path with a space), so that readers other than shells get plain values.
func shellQuoted(value string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:,@+=%"
	if strings.Trim(value, plain) == "" {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
