package system

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// TemporalNamespace is the namespace that the product works in.
const TemporalNamespace = "default"

// TemporalConfig is what `stack serve temporal` reads: JSON, so that the light package system does not import the
// server. All paths are absolute, all addresses on 127.0.0.1.
type TemporalConfig struct {
	Database      string         `json:"database"`
	Namespace     string         `json:"namespace"`
	RetentionDays int            `json:"retention_days"`
	Ports         map[string]int `json:"ports"` // frontend, history, matching, worker, ui

	CA           string  `json:"ca"`
	Frontend     KeyPair `json:"frontend"` // shown to clients
	SystemWorker KeyPair `json:"system_worker"`
	Reader       KeyPair `json:"reader"` // of the web UI
	InternodeCA  string  `json:"internode_ca"`
	Internode    KeyPair `json:"internode"`

	// Roles maps the common name of a client certificate to what it may do: "operator" everything, "primary" everything
	// in the namespace, "secondary" work and start workflows in the namespace, "reader" look at everything.
	Roles map[string]string `json:"roles"`
}

// KeyPair names a certificate's file and its key's.
type KeyPair struct {
	Cert string `json:"cert"`
	Key  string `json:"key"`
}

func (s *System) keyPair(name string) KeyPair { return KeyPair{s.certPath(name), s.keyPath(name)} }

func prepareTemporal(_ context.Context, s *System) error {
	st, err := s.readState()
	if err != nil {
		return err
	}
	ports := map[string]int{}
	for _, service := range []string{"frontend", "history", "matching", "worker", "ui"} {
		ports[service] = st.Ports["temporal."+service]
	}
	data, err := json.MarshalIndent(TemporalConfig{
		Database: s.path("data", "temporal.db"), Namespace: TemporalNamespace, RetentionDays: 3, Ports: ports,
		CA: s.certPath("ca"), Frontend: s.keyPair("temporal"), SystemWorker: s.keyPair("temporal-system"),
		Reader: s.keyPair(RoleReader), InternodeCA: s.certPath("internode-ca"), Internode: s.keyPair("temporal-internode"),
		Roles: map[string]string{
			RolePrimary: "primary", RolePrimary2: "primary", RoleSecondary1: "secondary", RoleSecondary2: "secondary",
			RoleOperator: "operator", RoleReader: "reader", "temporal-system": "operator",
		},
	}, "", "  ")
	if err != nil {
		return err
	}
	return writeSecretFile(s.path("config", "temporal.json"), data)
}

func commandTemporal(s *System) (argv []string, err error) {
	return []string{s.programs.stack, "serve", "temporal", "--config", s.path("config", "temporal.json")}, nil
}

// readyTemporal asks for the namespace, for something that the history service answers, and for the web UI.
func readyTemporal(ctx context.Context, s *System) error {
	conn, err := s.connectTemporal(RoleReader)
	if err != nil {
		return err
	}
	defer conn.Close()
	client := workflowservice.NewWorkflowServiceClient(conn)
	if _, err := client.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: TemporalNamespace}); err != nil {
		return err
	}
	if _, err := client.CountWorkflowExecutions(ctx, &workflowservice.CountWorkflowExecutionsRequest{Namespace: TemporalNamespace}); err != nil {
		return err
	}
	st, err := s.readState()
	if err != nil {
		return err
	}
	return answers(ctx, temporalUIURL(st), nil)
}

func (s *System) connectTemporal(role string) (*grpc.ClientConn, error) {
	cfg, err := s.clientTLS(role)
	if err != nil {
		return nil, err
	}
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	return grpc.NewClient(loopback(st.Ports["temporal.frontend"]), grpc.WithTransportCredentials(credentials.NewTLS(cfg)))
}

func temporalUIURL(st *state) string { return "http://" + loopback(st.Ports["temporal.ui"]) }

// answers asks url once and wants status 200.
func answers(ctx context.Context, url string, header http.Header) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	req.Header, req.Close = header.Clone(), true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}
