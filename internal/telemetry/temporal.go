package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	otel "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"go.temporal.io/sdk/contrib/opentelemetry"
	"go.temporal.io/sdk/interceptor"
)

// TemporalInterceptor carries traces through Temporal: a client's start or signal,
// the workflow, its activities. Call it after [Trace].
func TemporalInterceptor() (interceptor.Interceptor, error) {
	return opentelemetry.NewTracingInterceptor(opentelemetry.TracerOptions{
		TextMapPropagator: propagation.TraceContext{},
		DisableBaggage:    true,
		// Somebody asks what a workflow does: no part of what it does.
		DisableQueryTracing: true,
		// A header that something else wrote must not fail a workflow.
		AllowInvalidParentSpans: true,
		SpanStarter: func(ctx context.Context, t otel.Tracer, name string, opts ...otel.SpanStartOption) otel.Span {
			if !otel.SpanContextFromContext(ctx).IsSampled() {
				return noop.Span{} // no header in the history either
			}
			_, span := t.Start(ctx, name, opts...)
			return discreet{span}
		},
	})
}

// discreet is a span without error texts: they may show what a zone holds.
type discreet struct{ otel.Span }

func (discreet) RecordError(error, ...otel.EventOption) {}

func (d discreet) SetStatus(code codes.Code, _ string) { d.Span.SetStatus(code, "") }
