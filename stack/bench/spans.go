package bench

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// span is one hop of a change, as the product tells it.
type span struct {
	Trace   string            `json:"trace"`
	Process string            `json:"process"`
	Name    string            `json:"hop"`
	Start   time.Time         `json:"start"`
	End     time.Time         `json:"end"`
	Failed  bool              `json:"failed,omitempty"`
	About   map[string]string `json:"about,omitempty"`
}

// spans receives OTLP over HTTP on loopback.
type spans struct {
	server http.Server
	url    string

	mu  sync.Mutex
	all []span
	bad error
}

// receiveSpans listens until close is called.
func receiveSpans(ctx context.Context) (*spans, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &spans{url: fmt.Sprintf("http://%s/v1/traces", listener.Addr())}
	s.server = http.Server{Handler: http.HandlerFunc(s.take), ReadHeaderTimeout: 5 * time.Second}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.failed(err)
		}
	}()
	return s, nil
}

// close returns what came.
func (s *spans) close() ([]span, error) {
	err := s.server.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all, errors.Join(err, s.bad)
}

func (s *spans) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bad = errors.Join(s.bad, err)
}

func (s *spans) take(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &request)
	}
	if err != nil {
		s.failed(fmt.Errorf("receive spans: %w", err))
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	s.add(&request)
	w.Header().Set("Content-Type", "application/x-protobuf") // and the empty body says that all were taken
}

func (s *spans) add(request *collector.ExportTraceServiceRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, of := range request.ResourceSpans {
		process := texts(of.Resource.GetAttributes())["service.instance.id"]
		for _, scope := range of.ScopeSpans {
			for _, one := range scope.Spans {
				s.all = append(s.all, span{
					Trace: hex.EncodeToString(one.TraceId), Process: process, Name: one.Name,
					Start: nanoseconds(one.StartTimeUnixNano), End: nanoseconds(one.EndTimeUnixNano),
					Failed: one.Status.GetCode() == otlp.Status_STATUS_CODE_ERROR, About: texts(one.Attributes),
				})
			}
		}
	}
}

func texts(attributes []*common.KeyValue) map[string]string {
	all := map[string]string{}
	for _, a := range attributes {
		switch value := a.Value.GetValue().(type) {
		case *common.AnyValue_StringValue:
			all[a.Key] = value.StringValue
		case *common.AnyValue_IntValue:
			all[a.Key] = strconv.FormatInt(value.IntValue, 10)
		}
	}
	return all
}

func nanoseconds(n uint64) time.Time { return time.Unix(0, int64(n)) }
