// Package trace marks the hops of a change as spans of one OpenTelemetry trace,
// from the request at the api-proxy to the check from outside. What makes the
// spans known, and how many changes are traced, is set up by internal/telemetry.
//
// A span says which zone, change, version, serial and secondary it is about and
// how it ended: never what a zone holds, and no error texts, which may show it.
package trace

import (
	"context"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Request is the hop that every trace begins with: no other begins one, so that
// what runs by itself (checks, scans) is not traced.
const Request = "proxy request"

// HeaderName is the header that carries a trace to another process.
const HeaderName = "traceparent"

// Name is what the spans are told apart by from those of libraries.
const Name = "pdns-distribute"

// format is that of the header, https://www.w3.org/TR/trace-context/.
var format propagation.TraceContext

// Begin begins the trace of a change; the func ends its first span.
func Begin(ctx context.Context) (context.Context, func(error)) {
	return begin(ctx, Request, time.Time{}, nil)
}

// Start begins the span of a hop below the one in ctx; the func ends it. Where
// there is none, since tracing is off or this change is not traced, nothing
// happens, and it costs a look at ctx.
func Start(ctx context.Context, hop string, about ...attribute.KeyValue) (context.Context, func(error)) {
	if !traced(ctx) {
		return ctx, nothing
	}
	return begin(ctx, hop, time.Time{}, about)
}

// StartAt is [Start] of a hop that began earlier.
func StartAt(ctx context.Context, began time.Time, hop string, about ...attribute.KeyValue) (context.Context, func(error)) {
	if !traced(ctx) {
		return ctx, nothing
	}
	return begin(ctx, hop, began, about)
}

// Note adds to the span in ctx what was not known when it began.
func Note(ctx context.Context, about ...attribute.KeyValue) {
	if traced(ctx) {
		trace.SpanFromContext(ctx).SetAttributes(about...)
	}
}

// Header is what [Join] goes on with in another process, as the header
// traceparent; empty where ctx is not traced.
func Header(ctx context.Context) string {
	if !traced(ctx) {
		return ""
	}
	carrier := propagation.MapCarrier{}
	format.Inject(ctx, carrier)
	return carrier[HeaderName]
}

// Join goes on with the trace of a header, which may be empty or come from
// anybody: what is no header is as none.
func Join(ctx context.Context, header string) context.Context {
	if header == "" {
		return ctx
	}
	return format.Extract(ctx, propagation.MapCarrier{HeaderName: header})
}

func traced(ctx context.Context) bool { return trace.SpanContextFromContext(ctx).IsSampled() }

func nothing(error) {}

func begin(ctx context.Context, hop string, began time.Time, about []attribute.KeyValue) (context.Context, func(error)) {
	ctx, span := otel.Tracer(Name).Start(ctx, hop, trace.WithTimestamp(began), trace.WithAttributes(about...))
	return ctx, func(err error) {
		if err != nil {
			span.SetStatus(codes.Error, "")
		}
		span.End()
	}
}
