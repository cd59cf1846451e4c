package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"

	"github.com/pdns-distribute/pdns-distribute/internal/outage"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/internal/trace"
)

const (
	// exportTimeout bounds one attempt to hand spans to the collector.
	exportTimeout = 5 * time.Second
	// flushTimeout bounds how long the last spans may hold up the end.
	flushTimeout = 2 * time.Second
)

// Tracing says where spans go, config section [tracing].
type Tracing struct {
	// URL is the collector's, with its path; empty: nothing is traced.
	URL string
	// CAFile is as in [tlsconf.Files].
	CAFile string
	// SamplePercent is how many percent of the changes are traced.
	SamplePercent int
	// Version, Role and ID say which process the spans are of.
	Version, Role, ID string
}

// Trace has the spans of internal/trace sent to the collector, in batches and
// beside everything else: with the collector away they are dropped. The func that
// it returns sends what is left, and is to be called at the end.
func Trace(ctx context.Context, cfg Tracing, log *slog.Logger) (end func(), err error) {
	if cfg.URL == "" {
		return func() {}, nil
	}
	exporter, err := cfg.exporter(ctx)
	if err != nil {
		return nil, err
	}
	state := &outage.Log{Logger: log, What: "sending spans to tracing.otlp_url"}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { state.Failed(err) }))
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(reporting{exporter, state}, sdk.WithExportTimeout(exportTimeout)),
		sdk.WithSampler(sampler{sdk.TraceIDRatioBased(float64(cfg.SamplePercent) / 100)}),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.name", trace.Name), attribute.String("service.version", cfg.Version),
			attribute.String("service.instance.id", cfg.ID), attribute.String("role", cfg.Role),
		)),
	)
	otel.SetTracerProvider(provider)
	return func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			state.Failed(err)
		}
	}, nil
}

func (cfg Tracing) exporter(ctx context.Context) (sdk.SpanExporter, error) {
	options := []otlptracehttp.Option{
		otlptracehttp.WithEndpointURL(cfg.URL), otlptracehttp.WithTimeout(exportTimeout),
		// The next batch is the next attempt.
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}),
	}
	if strings.HasPrefix(cfg.URL, "https:") {
		encryption, err := tlsconf.Client(tlsconf.Files{CA: cfg.CAFile})
		if err != nil {
			return nil, fmt.Errorf("tracing.ca_file: %w", err)
		}
		options = append(options, otlptracehttp.WithTLSClientConfig(encryption))
	}
	exporter, err := otlptracehttp.New(ctx, options...)
	if err != nil {
		return nil, fmt.Errorf("tracing.otlp_url: %w", err)
	}
	return exporter, nil
}

// reporting logs once that the collector is away, and once that it is back.
type reporting struct {
	sdk.SpanExporter
	state *outage.Log
}

func (r reporting) ExportSpans(ctx context.Context, spans []sdk.ReadOnlySpan) error {
	err := r.SpanExporter.ExportSpans(ctx, spans)
	if err != nil {
		r.state.Failed(err)
	} else {
		r.state.OK()
	}
	return nil
}

// sampler chooses by their requests which changes are traced; what belongs to
// none is not.
type sampler struct{ requests sdk.Sampler }

func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if p.Name == trace.Request {
		return s.requests.ShouldSample(p)
	}
	return sdk.ParentBased(sdk.NeverSample()).ShouldSample(p)
}

func (s sampler) Description() string { return "changes:" + s.requests.Description() }
