package telemetry_test

import (
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace/noop"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
)

// traceTo traces until the func is called.
func traceTo(t *testing.T, cfg telemetry.Tracing, log io.Writer) func() {
	t.Helper()
	end, err := telemetry.Trace(t.Context(), cfg, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { otel.SetTracerProvider(noop.NewTracerProvider()) })
	return end
}

func change(ctx context.Context) {
	ctx, answered := trace.Begin(ctx)
	_, ended := trace.Start(ctx, "export")
	ended(nil)
	answered(nil)
}

func TestSpansAreSentAtTheEnd(t *testing.T) {
	got := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err != nil || proto.Unmarshal(body, &request) != nil || r.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", r.URL, err)
		}
		got <- &request
	}))
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	end := traceTo(t, telemetry.Tracing{URL: server.URL + "/v1/traces", CAFile: ca, SamplePercent: 100, Version: "1", Role: "primary", ID: "primary-1"}, &log)
	_, outside := otel.Tracer("library").Start(t.Context(), "what a library does by itself")
	outside.End()
	change(t.Context())
	end()
	if log.Len() > 0 {
		t.Fatal(log.String())
	}
	request := <-got
	spans := request.ResourceSpans[0].ScopeSpans[0].Spans
	if len(request.ResourceSpans) != 1 || len(spans) != 2 || spans[0].Name != "export" || spans[1].Name != trace.Request {
		t.Errorf("%v", request)
	}
	if text := request.ResourceSpans[0].Resource.String(); !strings.Contains(text, "primary-1") || !strings.Contains(text, "service.name") {
		t.Errorf("not of whom: %s", text)
	}
}

// A collector that is away, and one that hangs, hold nothing up and are told of once.
func TestCollectorIsAway(t *testing.T) {
	hangs := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hangs }))
	defer server.Close()
	defer close(hangs)
	for name, url := range map[string]string{"away": "http://127.0.0.1:1/v1/traces", "hanging": server.URL + "/v1/traces"} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			end := traceTo(t, telemetry.Tracing{URL: url, SamplePercent: 100}, &log)
			began := time.Now()
			for range 10_000 { // more than wait to be sent
				change(t.Context())
			}
			if took := time.Since(began); took > 2*time.Second {
				t.Errorf("10,000 changes took %s", took)
			}
			end()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("the end took %s", took)
			}
			if told := strings.Count(log.String(), "sending spans to tracing.otlp_url failed"); told != 1 {
				t.Errorf("told %d times:\n%s", told, log.String())
			}
		})
	}
}

func TestTracingIsOff(t *testing.T) {
	before := otel.GetTracerProvider()
	traceTo(t, telemetry.Tracing{SamplePercent: 100}, io.Discard)()
	if otel.GetTracerProvider() != before {
		t.Error("it is on")
	}
}

func TestTracingNamesTheKeyOfABadFile(t *testing.T) {
	_, err := telemetry.Trace(t.Context(), telemetry.Tracing{URL: "https://127.0.0.1:1/v1/traces", CAFile: "missing.pem"}, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "tracing.ca_file") {
		t.Error(err)
	}
}
