package system_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/consul/api"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

func TestNATSRefusesPlaintextAndStrangers(t *testing.T) {
	url, ca := env(t, shared, "NATS_URL"), nats.RootCAs(env(t, shared, "NATS_CA"))
	plain := strings.Replace(url, "tls://", "nats://", 1)
	trustNone := nats.Secure(&tls.Config{})
	cases := map[string]struct {
		url  string
		opts []nats.Option
		want error
	}{
		"in clear":           {plain, []nats.Option{nats.UserInfo("operator", env(t, shared, "NATS_PASSWORD"))}, nil},
		"without a user":     {url, []nats.Option{ca}, nats.ErrAuthorization},
		"wrong password":     {url, []nats.Option{ca, nats.UserInfo("operator", "wrong")}, nats.ErrAuthorization},
		"without the CA":     {url, []nats.Option{trustNone, nats.UserInfo("operator", env(t, shared, "NATS_PASSWORD"))}, nil},
		"another's password": {url, []nats.Option{ca, nats.UserInfo("primary", env(t, shared, "NATS_PASSWORD"))}, nats.ErrAuthorization},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			conn, err := nats.Connect(c.url, c.opts...)
			if err == nil {
				conn.Close()
				t.Fatal("connected")
			}
			if c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

// makeBuckets makes the product's buckets with some content, as a primary does.
func makeBuckets(t *testing.T) jetstream.JetStream {
	t.Helper()
	js := jetStream(t, shared, system.RolePrimary)
	zones, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "pdns-zones"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := zones.Put(t.Context(), "example.org", []byte("version 1")); err != nil {
		t.Fatal(err)
	}
	snapshots, err := js.CreateOrUpdateObjectStore(t.Context(), jetstream.ObjectStoreConfig{Bucket: "pdns-snapshots"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := snapshots.PutBytes(t.Context(), "snapshot", bytes.Repeat([]byte("x"), 300_000)); err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateOrUpdateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: "pdns-secondaries"}); err != nil {
		t.Fatal(err)
	}
	_, err = js.CreateOrUpdateStream(t.Context(), jetstream.StreamConfig{Name: "ZONE_EVENTS", Subjects: []string{"zone.*"}})
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func TestSecondaryMayReadZonesAndWriteItsOwnEntry(t *testing.T) {
	makeBuckets(t)
	js := jetStream(t, shared, system.RoleSecondary1)
	zones, err := js.KeyValue(t.Context(), "pdns-zones")
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := zones.Get(t.Context(), "example.org"); err != nil || string(entry.Value()) != "version 1" {
		t.Errorf("read a zone: %v, %v", entry, err)
	}
	watch, err := zones.WatchAll(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if entry := <-watch.Updates(); entry == nil || entry.Key() != "example.org" {
		t.Errorf("watch the zones: %v", entry)
	}
	if err := watch.Stop(); err != nil {
		t.Errorf("end the watch: %v", err)
	}
	keys, err := zones.ListKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if key := <-keys.Keys(); key != "example.org" {
		t.Errorf("list the zones: %q", key)
	}
	snapshots, err := js.ObjectStore(t.Context(), "pdns-snapshots")
	if err != nil {
		t.Fatal(err)
	}
	if object, err := snapshots.GetBytes(t.Context(), "snapshot"); err != nil || len(object) != 300_000 {
		t.Errorf("read a snapshot: %d octets, %v", len(object), err)
	}
	secondaries, err := js.KeyValue(t.Context(), "pdns-secondaries")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := secondaries.Put(t.Context(), "secondary-1", []byte("me")); err != nil {
		t.Errorf("write its own entry: %v", err)
	}
	if entry, err := secondaries.Get(t.Context(), "secondary-1"); err != nil || string(entry.Value()) != "me" {
		t.Errorf("read its own entry: %v, %v", entry, err)
	}
}

func TestSecondaryMayNotWriteZoneContent(t *testing.T) {
	primary := makeBuckets(t)
	js := jetStream(t, shared, system.RoleSecondary1)
	stream := func(action, name string) string { return "$JS.API.STREAM." + action + "." + name }
	for _, subject := range []string{
		"$KV.pdns-zones.example.org", "$O.pdns-snapshots.C.x", "$O.pdns-snapshots.M.x",
		"$KV.pdns-secondaries.secondary-2", "zone.modified", "zone.delete",
		stream("CREATE", "KV_pdns-zones2"), stream("UPDATE", "KV_pdns-zones"), stream("DELETE", "KV_pdns-zones"),
		stream("PURGE", "KV_pdns-zones"), stream("MSG.DELETE", "KV_pdns-zones"), stream("SNAPSHOT", "KV_pdns-zones"),
		stream("RESTORE", "KV_pdns-zones"), "$JS.API.CONSUMER.CREATE.ZONE_EVENTS.x.y", "$JS.API.CONSUMER.DURABLE.CREATE.KV_pdns-zones.x",
	} {
		t.Run(subject, func(t *testing.T) { refusedPublish(t, subject) })
	}
	if err := js.Conn().Flush(); err != nil {
		t.Fatal(err)
	}
	zones, err := primary.KeyValue(t.Context(), "pdns-zones")
	if err != nil {
		t.Fatal(err)
	}
	if entry, err := zones.Get(t.Context(), "example.org"); err != nil || string(entry.Value()) != "version 1" {
		t.Errorf("the zone afterwards: %v, %v", entry, err)
	}
}

// refusedPublish publishes as a secondary and wants the server to object to that subject.
func refusedPublish(t *testing.T, subject string) {
	t.Helper()
	refused := make(chan error, 1)
	conn, err := shared.ConnectNATS(system.RoleSecondary1, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		select {
		case refused <- err:
		default:
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.Publish(subject, []byte("forged")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-refused:
		if !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("refused with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("not refused")
	}
}

func TestConsulRefusesPlaintextAndStrangers(t *testing.T) {
	url := env(t, shared, "CONSUL_HTTP_ADDR") + "/v1/catalog/services"
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientTLS(t, shared, "")}, Timeout: 10 * time.Second}
	if _, err := http.Get(url); err == nil {
		t.Error("a client that does not know the CA trusts the server")
	}
	resp, err := client.Get(strings.Replace(url, "https:", "http:", 1))
	if err == nil {
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Error("answers in clear")
		}
	}
	resp, err = client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || strings.TrimSpace(string(body)) != "{}" && resp.StatusCode == http.StatusOK {
		t.Errorf("without a token: %s %s, %v", resp.Status, body, err)
	}
}

func TestConsulRolesRegisterTheirOwnServicesOnly(t *testing.T) {
	cases := []struct {
		role, service string
		allowed       bool
	}{
		{system.RolePrimary, "pdns-primary", true},
		{system.RolePrimary, "pdns-api-proxy", true},
		{system.RolePrimary, "pdns-secondary", false},
		{system.RolePrimary, "database", false},
		{system.RoleSecondary1, "pdns-secondary", true},
		{system.RoleSecondary1, "pdns-primary", false},
		{system.RoleSecondary2, "pdns-secondary", true},
	}
	for _, c := range cases {
		t.Run(c.role+" "+c.service, func(t *testing.T) {
			agent := consul(t, shared, c.role).Agent()
			id := c.service + "-test"
			err := agent.ServiceRegister(&api.AgentServiceRegistration{ID: id, Name: c.service, Check: &api.AgentServiceCheck{TTL: "10s", CheckID: id}})
			if (err == nil) != c.allowed {
				t.Fatalf("register: %v, want allowed = %t", err, c.allowed)
			}
			if !c.allowed {
				return
			}
			if err := agent.UpdateTTLOpts(id, "", api.HealthPassing, (&api.QueryOptions{}).WithContext(t.Context())); err != nil {
				t.Errorf("push the check: %v", err)
			}
			seen, _, err := consul(t, shared, system.RolePrimary).Health().Service(c.service, "", true, nil)
			if err != nil || len(seen) != 1 {
				t.Errorf("seen by the primary: %v, %v", seen, err)
			}
			if err := agent.ServiceDeregister(id); err != nil {
				t.Errorf("deregister: %v", err)
			}
		})
	}
	if _, err := consul(t, shared, system.RolePrimary).KV().Put(&api.KVPair{Key: "x"}, nil); err == nil {
		t.Error("the primary's token writes to Consul's key-value store")
	}
}

// namespaceOf asks something that needs a reader's rights at least.
func namespaceOf(ctx context.Context, client workflowservice.WorkflowServiceClient) error {
	_, err := client.DescribeNamespace(ctx, &workflowservice.DescribeNamespaceRequest{Namespace: system.TemporalNamespace})
	return err
}

func TestTemporalRefusesPlaintextAndStrangers(t *testing.T) {
	stranger := clientTLS(t, shared, "")
	cases := map[string]credentials.TransportCredentials{
		"in clear":                       insecure.NewCredentials(),
		"without a certificate":          credentials.NewTLS(stranger),
		"with a server's certificate":    credentials.NewTLS(clientTLS(t, shared, "nats")),
		"with the internode certificate": credentials.NewTLS(clientTLS(t, shared, "temporal-internode")),
	}
	for name, creds := range cases {
		t.Run(name, func(t *testing.T) {
			err := namespaceOf(t.Context(), workflowservice.NewWorkflowServiceClient(dialTemporal(t, shared, creds)))
			if status.Code(err) != codes.Unavailable {
				t.Errorf("%v, want a refused connection", err)
			}
		})
	}
}

// Temporal's services would obey whoever reaches them: no certificate that people or the product hold may.
func TestTemporalServicesTakeNoClientCertificate(t *testing.T) {
	data, err := os.ReadFile(shared.Dir() + "/config/temporal.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, service := range []string{"history", "matching"} {
		var port int
		_, after, _ := strings.Cut(string(data), `"`+service+`":`)
		if _, err := fmt.Sscan(strings.TrimSpace(after), &port); err != nil {
			t.Fatal(err)
		}
		for _, certificate := range []string{"", system.RoleOperator, "temporal-system", "temporal-internode"} {
			cfg := clientTLS(t, shared, certificate)
			cfg.InsecureSkipVerify = true // asks what the server accepts, whoever it is
			err := handshake(t, fmt.Sprintf("127.0.0.1:%d", port), cfg)
			if own := certificate == "temporal-internode"; own != (err == nil) {
				t.Errorf("%s, asked with the certificate %q: %v", service, certificate, err)
			}
		}
	}
}

// handshake returns the server's objection, which TLS 1.3 tells with the first read.
func handshake(t *testing.T, addr string, cfg *tls.Config) error {
	t.Helper()
	cfg.NextProtos = []string{"h2"}
	conn, err := (&tls.Dialer{Config: cfg}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestTemporalRoles(t *testing.T) {
	cases := []struct {
		role                             string
		read, start, makeSearchAttribute bool
	}{
		{system.RoleReader, true, false, false},
		{system.RoleSecondary1, true, true, false},
		{system.RolePrimary, true, true, true},
		{system.RoleOperator, true, true, true},
	}
	for _, c := range cases {
		t.Run(c.role, func(t *testing.T) {
			client := temporal(t, shared, c.role)
			want(t, "read", namespaceOf(t.Context(), client), c.read)
			_, err := client.StartWorkflowExecution(t.Context(), workflowStart("by-"+c.role))
			want(t, "start", err, c.start)
			operator := operatorservice.NewOperatorServiceClient(dialTemporal(t, shared, credentials.NewTLS(clientTLS(t, shared, c.role))))
			_, err = operator.AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
				Namespace:        system.TemporalNamespace,
				SearchAttributes: map[string]enumspb.IndexedValueType{"By" + c.role[:3]: enumspb.INDEXED_VALUE_TYPE_KEYWORD},
			})
			want(t, "make a search attribute", err, c.makeSearchAttribute)
		})
	}
	_, err := temporal(t, shared, system.RolePrimary).DescribeNamespace(t.Context(), &workflowservice.DescribeNamespaceRequest{Namespace: "temporal-system"})
	want(t, "the primary reads another namespace", err, false)
}

func want(t *testing.T, what string, err error, allowed bool) {
	t.Helper()
	if allowed && err != nil || !allowed && status.Code(err) != codes.PermissionDenied {
		t.Errorf("%s: %v, want allowed = %t", what, err, allowed)
	}
}

// Whoever reaches the web UI may look, and change nothing.
func TestTemporalUIIsReadOnly(t *testing.T) {
	startURL := env(t, shared, "TEMPORAL_UI_URL") + "/api/v1/namespaces/default/workflows/by-ui"
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, startURL, strings.NewReader(`{"workflowType":{"name":"X"},"taskQueue":{"name":"q"}}`))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer x") // the UI asks such requests for no CSRF token
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed && resp.StatusCode != http.StatusForbidden {
		t.Errorf("starting a workflow through the UI: %s", resp.Status)
	}
	list, err := http.Get(env(t, shared, "TEMPORAL_UI_URL") + "/api/v1/namespaces/default/workflows")
	if err != nil {
		t.Fatal(err)
	}
	defer list.Body.Close()
	if list.StatusCode != http.StatusOK {
		t.Errorf("listing workflows through the UI: %s", list.Status)
	}
}
