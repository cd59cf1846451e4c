package proxy

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const apiKey = "a-secret-key"

var testSubjects = Subjects{Add: "zone.add", Modified: "zone.modified", Delete: "zone.delete"}

// published is one event as NATS got it.
type published struct {
	pdns.Event
	subject string
}

// fakeNATS is a publisher whose faults a test chooses.
type fakeNATS struct {
	mu     sync.Mutex
	events []published
	fault  func(ctx context.Context) error // nil: none
}

func (f *fakeNATS) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	f.mu.Lock()
	fault := f.fault
	f.mu.Unlock()
	if fault != nil {
		if err := fault(ctx); err != nil {
			return nil, err
		}
	}
	var e published
	if err := json.Unmarshal(msg.Data, &e.Event); err != nil {
		return nil, err
	}
	e.subject = msg.Subject
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, e)
	return &jetstream.PubAck{}, nil
}

func (f *fakeNATS) setFault(fault func(context.Context) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = fault
}

func (f *fakeNATS) list() []published {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]published(nil), f.events...)
}

func hang(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

// running is a proxy that serves, with all that a test looks at.
type running struct {
	*Proxy
	t       testing.TB
	url     string
	roots   *x509.CertPool
	client  *http.Client // HTTP/2
	metrics *prometheus.Registry
	log     *bytes.Buffer
	logMu   *sync.Mutex
	stop    func() error
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func testConfig(t testing.TB, powerdns string, js Publisher) Config {
	return Config{
		Listen:    "127.0.0.1:0",
		StateDir:  t.TempDir(),
		PowerDNS:  powerdns,
		Primary:   "primary-1",
		Publisher: js,
		Subjects:  testSubjects,
	}
}

// start serves until the test ends or stop is called.
func start(t testing.TB, cfg Config) *running {
	t.Helper()
	r := &running{t: t, metrics: prometheus.NewRegistry(), log: &bytes.Buffer{}, logMu: &sync.Mutex{}}
	cfg.Registerer = r.metrics
	cfg.Log = slog.New(slog.NewTextHandler(lockedWriter{r.logMu, r.log}, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var err error
	if r.Proxy, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		t.Fatal(err)
	}
	r.url = "https://" + listener.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, listener) }()
	r.stop = sync.OnceValue(func() error {
		cancel()
		if r.client != nil {
			r.client.CloseIdleConnections()
		}
		return <-done
	})
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(r.logged())
		}
	})
	r.roots = trust(t, filepath.Join(cfg.StateDir, "proxy.crt"))
	r.client = tlsClient(r.roots)
	return r
}

// trust waits until the certificate is made.
func trust(t testing.TB, file string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	eventually.True(t, "the certificate", func() bool {
		pem, err := os.ReadFile(file)
		return err == nil && pool.AppendCertsFromPEM(pem)
	})
	return pool
}

func (r *running) logged() string {
	r.logMu.Lock()
	defer r.logMu.Unlock()
	return r.log.String()
}

// call makes one request with the API key and returns the answer and its body.
func (r *running) call(method, path, body string) (*http.Response, string) {
	r.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	return r.do(r.client, method, path, reader)
}

func (r *running) do(client *http.Client, method, path string, body io.Reader) (*http.Response, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("X-API-Key", apiKey)
	res, err := client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, string(data)
}

// idle waits until nothing is in the outbox.
func (r *running) idle() {
	r.t.Helper()
	eventually.True(r.t, "the outbox to be empty", func() bool { return r.relay.outbox.pending() == 0 })
}

// metric is the value of a counter or gauge.
func (r *running) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if family.GetName() == name && strings.Join(values, " ") == strings.Join(labels, " ") {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

// backend is a PowerDNS whose answers a test chooses.
func backend(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewServer(handler)
	t.Cleanup(srv.Close)
	return srv.URL
}

func answer(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(status)
	}
}

const (
	zonesPath = "/api/v1/servers/localhost/zones"
	zonePath  = zonesPath + "/example.org."
)
