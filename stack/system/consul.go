package system

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/hashicorp/consul/api"
)

// consulPolicies grant each role what it needs. A rule for an exact name goes before one for a prefix, so a primary
// cannot register a secondary. Consul knows no finer right than a service's name: one secondary could deregister
// another.
var consulPolicies = map[string]string{
	RolePrimary:    readAll + primaryRule,
	RolePrimary2:   readAll + primaryRule,
	RoleSecondary1: readAll + secondaryRule,
	RoleSecondary2: readAll + secondaryRule,
}

const (
	readAll = `service_prefix "" { policy = "read" }
node_prefix "" { policy = "read" }
agent_prefix "" { policy = "read" }`
	primaryRule = `
service_prefix "pdns-" { policy = "write" }
service "pdns-secondary" { policy = "read" }`
	secondaryRule = `
service "pdns-secondary" { policy = "write" }`
)

// consulToken is the file and value of a role's token. The operator's is the management token.
func (s *System) consulToken(role string) (string, error) { return s.secret("consul-" + role) }

func prepareConsul(_ context.Context, s *System) error {
	management, err := s.consulToken(RoleOperator)
	if err != nil {
		return err
	}
	gossip, err := s.secret("gossip")
	if err != nil {
		return err
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	// https://developer.hashicorp.com/consul/docs/agent/config/config-files
	config := map[string]any{
		"node_name": "stack", "datacenter": "dc1", "data_dir": s.path("data", "consul"),
		"server": true, "bootstrap_expect": 1, "bind_addr": "127.0.0.1", "client_addr": "127.0.0.1",
		"ports": map[string]int{
			"https": st.Ports["consul.https"], "server": st.Ports["consul.server"], "serf_lan": st.Ports["consul.serf"],
			"http": -1, "dns": -1, "grpc": -1, "grpc_tls": -1, "serf_wan": -1,
		},
		"tls": map[string]any{
			"defaults": map[string]any{
				"ca_file": s.certPath("ca"), "cert_file": s.certPath("consul"), "key_file": s.keyPath("consul"),
				"verify_outgoing": true,
			},
			"internal_rpc": map[string]any{"verify_incoming": true, "verify_server_hostname": true},
		},
		"encrypt": base64.StdEncoding.EncodeToString([]byte(gossip)), // 32 hexadecimal digits are the 32 octets it wants
		"acl": map[string]any{
			"enabled": true, "default_policy": "deny", "enable_token_persistence": true,
			"tokens": map[string]string{"initial_management": management, "agent": management},
		},
		// One server on one machine: elect at once instead of waiting for slow networks.
		"performance":          map[string]int{"raft_multiplier": 1},
		"disable_update_check": true, "log_level": "warn",
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	return writeSecretFile(s.path("config", "consul.json"), data)
}

func commandConsul(s *System) (argv []string, err error) {
	consul, err := s.programs.tool("consul")
	return []string{consul, "agent", "-config-file", s.path("config", "consul.json")}, err
}

// readyConsul asks for a leader and then makes the roles' policies and tokens, those that are missing.
func readyConsul(ctx context.Context, s *System) error {
	client, err := s.ConnectConsul(RoleOperator)
	if err != nil {
		return err
	}
	leader, err := client.Status().LeaderWithQueryOptions((&api.QueryOptions{}).WithContext(ctx))
	if err != nil {
		return err
	}
	if leader == "" {
		return errors.New("no leader yet")
	}
	for role, rules := range consulPolicies {
		if err := s.ensureConsulToken(ctx, client, role, rules); err != nil {
			return fmt.Errorf("make the Consul token of %s: %w", role, err)
		}
	}
	return nil
}

func (s *System) ensureConsulToken(ctx context.Context, client *api.Client, role, rules string) error {
	token, err := s.consulToken(role)
	if err != nil {
		return err
	}
	read := (&api.QueryOptions{Token: token}).WithContext(ctx)
	if _, _, err := client.ACL().TokenReadSelf(read); err == nil {
		return nil
	}
	write := (&api.WriteOptions{}).WithContext(ctx)
	policy, _, err := client.ACL().PolicyReadByName(role, (&api.QueryOptions{}).WithContext(ctx))
	if policy == nil || err != nil {
		if _, _, err = client.ACL().PolicyCreate(&api.ACLPolicy{Name: role, Rules: rules}, write); err != nil {
			return err
		}
	}
	_, _, err = client.ACL().TokenCreate(&api.ACLToken{
		SecretID: token, Description: role, Policies: []*api.ACLTokenPolicyLink{{Name: role}},
	}, write)
	return err
}

// ConnectConsul returns a client with a role's token; the operator's is the management token.
func (s *System) ConnectConsul(role string) (*api.Client, error) {
	token, err := s.consulToken(role)
	if err != nil {
		return nil, err
	}
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	config := api.DefaultNonPooledConfig() // asked a few times a start: no idle connection is to stay behind
	config.Address, config.Scheme, config.Token = loopback(st.Ports["consul.https"]), "https", token
	config.TLSConfig = api.TLSConfig{CAFile: s.certPath("ca")}
	return api.NewClient(config)
}
