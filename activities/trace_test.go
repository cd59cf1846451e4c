package activities_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	sdk "go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/internal/trace/tracetest"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/triggers/proxy"
)

// proxied is an api-proxy in front of the primary, whose changes are exported
// ahead and applied on the secondary as they are published.
func (h hosts) proxied(t *testing.T) http.Handler {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p, err := proxy.New(proxy.Config{
		Listen: "127.0.0.1:0", StateDir: t.TempDir(), PowerDNS: stack.Env("PRIMARY_API_URL"), Primary: "primary-1", Publisher: h.js,
		Subjects:   proxy.Subjects{Add: "zone.add", Modified: "zone.modified", Delete: "zone.delete"},
		Changed:    activities.NewAhead(ctx, h.primary, nil).Changed,
		Registerer: prometheus.NewRegistry(), Log: slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	ended := make(chan error, 1)
	go func() { ended <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return p
}

// followed applies what is published, once the bucket is followed.
func (h hosts) followed(t *testing.T) {
	t.Helper()
	follower, heard := h.follow(t), make(chan struct{}, 1)
	go h.store.Follow(t.Context(), slog.New(slog.DiscardHandler), nil, func(v pdns.Version, content []byte, trace string) {
		follower.Published(v, content, trace)
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	makeZone(t, "marker.example.")
	eventually.True(t, "the bucket is followed", func() bool {
		_, err := export(h.primary, activities.ExportZoneInput{Zone: "marker.example.", Above: time.Now().UnixMicro()})
		require.NoError(t, err)
		return len(heard) > 0
	})
}

// change makes a zone through the proxy.
func change(t *testing.T, through http.Handler, zone string) {
	t.Helper()
	body := `{"name": "` + zone + `", "kind": "Native", "nameservers": ["ns1.` + zone + `"]}`
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/api/v1/servers/localhost/zones", strings.NewReader(body))
	request.Header.Set("X-API-Key", stack.Env("API_KEY"))
	answer := httptest.NewRecorder()
	through.ServeHTTP(answer, request)
	require.Equal(t, http.StatusCreated, answer.Code, answer.Body)
	t.Cleanup(func() { call(t, http.MethodDelete, "/zones/"+zone, nil) })
}

// eventHeader is that of the last event.
func (h hosts) eventHeader(t *testing.T) (header string) {
	t.Helper()
	stream, err := h.js.Stream(t.Context(), broker.StreamEvents)
	require.NoError(t, err)
	eventually.True(t, "the event", func() bool {
		info, err := stream.Info(t.Context())
		require.NoError(t, err)
		if info.State.Msgs == 0 {
			return false
		}
		event, err := stream.GetMsg(t.Context(), info.State.LastSeq)
		require.NoError(t, err)
		header = event.Header.Get(trace.HeaderName)
		return true
	})
	return header
}

func TestOneTraceFromTheProxyToTheSecondary(t *testing.T) {
	h, spans := newHosts(t), tracetest.Record(t)
	through := h.proxied(t)
	h.followed(t)
	require.Empty(t, spans(), "no request, no trace")
	change(t, through, "traced.example.")

	hops := []string{
		trace.Request, "proxy outbox", "proxy powerdns", "proxy event",
		"export", "export newest", "export axfr", "export publish",
		"apply", "apply create", "apply serve", "apply flush", "apply note",
	}
	named := func(name string) int {
		return slices.IndexFunc(spans(), func(s sdk.SpanStub) bool { return s.Name == name })
	}
	for _, hop := range hops {
		eventually.True(t, "the hop "+hop, func() bool { return named(hop) >= 0 })
	}
	all := spans()
	request := all[named(trace.Request)].SpanContext
	known := map[string]bool{request.SpanID().String(): true}
	for _, s := range all {
		require.Equal(t, request.TraceID(), s.SpanContext.TraceID(), s.Name)
		known[s.SpanContext.SpanID().String()] = true
	}
	for _, s := range all {
		require.True(t, s.Name == trace.Request || known[s.Parent.SpanID().String()], "%s hangs in the air", s.Name)
		for _, a := range s.Attributes {
			require.Contains(t, []string{"zone", "change_id", "version", "serial", "secondary", "outcome", "asked"}, string(a.Key))
		}
	}
	require.Contains(t, h.eventHeader(t), request.TraceID().String())
}

func TestWithoutTracingNothingIsWritten(t *testing.T) {
	h := newHosts(t)
	change(t, h.proxied(t), "plain.example.")
	eventually.True(t, "the zone's export ahead", func() bool {
		_, _, err := h.store.Newest(t.Context(), "plain.example.")
		return err == nil
	})
	require.Empty(t, h.eventHeader(t))
	kv, err := h.js.KeyValue(t.Context(), broker.BucketZones)
	require.NoError(t, err)
	entry, err := kv.Get(t.Context(), pdns.ZoneKey("plain.example."))
	require.NoError(t, err)
	require.NotContains(t, string(entry.Value()), `"trace"`)
}
