package system_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/nats-io/nats.go/jetstream"
	commonpb "go.temporal.io/api/common/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// Each server keeps its data over a kill, and answers at the same address afterwards.
func TestRestartKeepsData(t *testing.T) {
	s := up(t, servers...)
	putNATS(t, s)
	putConsul(t, s)
	startWorkflow(t, s)
	for _, url := range powerdnsURLs(t, s) {
		createZone(t, s, url)
	}
	for _, name := range servers {
		if err := s.Kill(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range servers {
		if err := s.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	kv, err := jetStream(t, s, system.RoleOperator).KeyValue(t.Context(), "kept")
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := kv.Get(t.Context(), "key"); err != nil || string(entry.Value()) != "value" {
		t.Errorf("NATS after its restart: %v, %v", entry, err)
	}
	pair, _, err := consul(t, s, system.RoleOperator).KV().Get("kept", nil)
	if err != nil || pair == nil || string(pair.Value) != "value" {
		t.Errorf("Consul after its restart: %v, %v", pair, err)
	}
	described, err := temporal(t, s, system.RoleOperator).DescribeWorkflowExecution(t.Context(), &workflowservice.DescribeWorkflowExecutionRequest{
		Namespace: system.TemporalNamespace, Execution: &commonpb.WorkflowExecution{WorkflowId: "kept"},
	})
	if err != nil || described.GetWorkflowExecutionInfo().GetType().GetName() != "Kept" {
		t.Errorf("Temporal after its restart: %v, %v", described, err)
	}
	for _, url := range powerdnsURLs(t, s) {
		if code, body := powerdns(t, s, http.MethodGet, url+"/api/v1/servers/localhost/zones/kept.example.", ""); code != http.StatusOK {
			t.Errorf("%s after its restart: %d %s", url, code, body)
		}
	}
}

func jetStream(t *testing.T, s *system.System, role string) jetstream.JetStream {
	t.Helper()
	conn, err := s.ConnectNATS(role)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func putNATS(t *testing.T, s *system.System) {
	t.Helper()
	kv, err := jetStream(t, s, system.RoleOperator).CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "kept", Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "key", []byte("value")); err != nil {
		t.Fatal(err)
	}
}

func consul(t *testing.T, s *system.System, role string) *api.Client {
	t.Helper()
	client, err := s.ConnectConsul(role)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func putConsul(t *testing.T, s *system.System) {
	t.Helper()
	if _, err := consul(t, s, system.RoleOperator).KV().Put(&api.KVPair{Key: "kept", Value: []byte("value")}, nil); err != nil {
		t.Fatal(err)
	}
}

// clientTLS trusts the system's CA and shows the certificate of that name; none when it is empty.
func clientTLS(t *testing.T, s *system.System, certificate string) *tls.Config {
	t.Helper()
	pem, err := os.ReadFile(env(t, s, "TEMPORAL_TLS_CA"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &tls.Config{RootCAs: x509.NewCertPool()}
	cfg.RootCAs.AppendCertsFromPEM(pem)
	if certificate != "" {
		pair, err := tls.LoadX509KeyPair(s.Dir()+"/pki/"+certificate+".crt", s.Dir()+"/pki/"+certificate+".key")
		if err != nil {
			t.Fatal(err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg
}

func temporal(t *testing.T, s *system.System, certificate string) workflowservice.WorkflowServiceClient {
	t.Helper()
	return workflowservice.NewWorkflowServiceClient(dialTemporal(t, s, credentials.NewTLS(clientTLS(t, s, certificate))))
}

func dialTemporal(t *testing.T, s *system.System, creds credentials.TransportCredentials) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(env(t, s, "TEMPORAL_ADDRESS"), grpc.WithTransportCredentials(creds))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func workflowStart(id string) *workflowservice.StartWorkflowExecutionRequest {
	return &workflowservice.StartWorkflowExecutionRequest{
		Namespace: system.TemporalNamespace, WorkflowId: id, RequestId: id,
		WorkflowType: &commonpb.WorkflowType{Name: "Kept"}, TaskQueue: &taskqueuepb.TaskQueue{Name: "nobody-works-here"},
	}
}

func startWorkflow(t *testing.T, s *system.System) {
	t.Helper()
	if _, err := temporal(t, s, system.RoleOperator).StartWorkflowExecution(t.Context(), workflowStart("kept")); err != nil {
		t.Fatal(err)
	}
}

func powerdnsURLs(t *testing.T, s *system.System) []string {
	t.Helper()
	return append(strings.Split(env(t, s, "SECONDARY_API_URLS"), ","), env(t, s, "PRIMARY_API_URL"))
}

func createZone(t *testing.T, s *system.System, url string) {
	t.Helper()
	body := `{"name":"kept.example.","kind":"Native","nameservers":["ns1.kept.example."]}`
	if code, answer := powerdns(t, s, http.MethodPost, url+"/api/v1/servers/localhost/zones", body); code != http.StatusCreated {
		t.Fatalf("create a zone on %s: %d %s", url, code, answer)
	}
}

func powerdns(t *testing.T, s *system.System, method, url, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewBufferString(body))
	if err != nil {
		t.Fatal(err)
	}
	key := "API_KEY"
	if server, _, _ := strings.Cut(url, "/api/"); strings.Contains(env(t, s, "SECONDARY_API_URLS"), server) {
		key = "SECONDARY_API_KEY"
	}
	req.Header.Set("X-API-Key", env(t, s, key))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(answer)
}
