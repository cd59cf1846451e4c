package trace_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/codes"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
	"github.com/pdns-distribute/pdns-distribute/internal/trace/tracetest"
)

func TestATraceGoesOnInAnotherProcess(t *testing.T) {
	spans := tracetest.Record(t)
	ctx, answered := trace.Begin(t.Context())
	there := trace.Join(context.Background(), trace.Header(ctx))
	there, applied := trace.Start(there, "apply", trace.Zone("example.org."), trace.Version(7))
	trace.Note(there, trace.Outcome("applied"))
	applied(errors.New("record www.example.org. A 192.0.2.1 is bad"))
	answered(nil)

	ended := spans()
	if len(ended) != 2 {
		t.Fatalf("%+v", ended)
	}
	apply, request := ended[0], ended[1]
	if request.Name != trace.Request || apply.Parent.SpanID() != request.SpanContext.SpanID() || apply.SpanContext.TraceID() != request.SpanContext.TraceID() {
		t.Errorf("%+v is not below %+v", apply, request)
	}
	if apply.Status.Code != codes.Error || apply.Status.Description != "" || len(apply.Events) != 0 {
		t.Errorf("a failure without its text: %+v", apply)
	}
	about := map[string]string{}
	for _, a := range apply.Attributes {
		about[string(a.Key)] = a.Value.String()
	}
	if len(about) != 3 || about["zone"] != "example.org." || about["version"] != "7" || about["outcome"] != "applied" {
		t.Errorf("%v", about)
	}
}

// Only a request begins a trace: what runs by itself leaves none.
func TestNothingIsTracedOutsideOfAChange(t *testing.T) {
	spans := tracetest.Record(t)
	for _, header := range []string{"", "garbage", "00-00000000000000000000000000000000-0000000000000000-01", strings.Repeat("x", 1<<16)} {
		ctx, ended := trace.Start(trace.Join(t.Context(), header), "export")
		ended(nil)
		if trace.Header(ctx) != "" {
			t.Errorf("%.40q goes on", header)
		}
	}
	if len(spans()) != 0 {
		t.Errorf("%+v", spans())
	}
}

func TestTracingThatIsOffWritesNothing(t *testing.T) {
	ctx, answered := trace.Begin(t.Context())
	defer answered(nil)
	if trace.Header(ctx) != "" {
		t.Error("there is a header")
	}
	allocated := testing.AllocsPerRun(100, func() {
		inner, ended := trace.Start(ctx, "export")
		trace.Header(inner)
		ended(nil)
	})
	if allocated > 0 {
		t.Errorf("a hop takes %v allocations", allocated)
	}
}
