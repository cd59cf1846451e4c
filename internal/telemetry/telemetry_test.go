package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
)

func TestNewLogger(t *testing.T) {
	var out bytes.Buffer
	log, err := telemetry.NewLogger(&out, "warn", "json")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not shown")
	log.Warn("shown", "zone", "example.org.")
	var line struct{ Level, Msg, Zone string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Level != "WARN" || line.Msg != "shown" || line.Zone != "example.org." {
		t.Errorf("logged %s (%v)", out.String(), err)
	}
	out.Reset()
	if log, err = telemetry.NewLogger(&out, "debug", "text"); err != nil {
		t.Fatal(err)
	}
	log.Debug("shown", "zone", "example.org.")
	if !strings.Contains(out.String(), "level=DEBUG msg=shown zone=example.org.") {
		t.Errorf("logged %s", out.String())
	}
	if _, err := telemetry.NewLogger(&out, "loud", "text"); err == nil {
		t.Error("level loud is accepted")
	}
	if _, err := telemetry.NewLogger(&out, "info", "xml"); err == nil {
		t.Error("format xml is accepted")
	}
}

// start runs a server on a free port and returns its address; it is stopped, and
// its end checked, when the test ends.
func start(t *testing.T) (server *telemetry.Server, base string) {
	t.Helper()
	server, err := telemetry.Listen(t.Context(), "127.0.0.1:0", telemetry.NewRegistry("1.2.3", "primary"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return server, "http://" + server.Addr().String()
}

func get(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func TestServer(t *testing.T) {
	server, base := start(t)
	if status, body := get(t, base+"/livez"); status != http.StatusOK || body != "ok\n" {
		t.Errorf("/livez: %d %s", status, body)
	}
	if status, body := get(t, base+"/readyz"); status != http.StatusOK || body != "{\"ready\":true}\n" {
		t.Errorf("/readyz: %d %s", status, body)
	}
	server.Readiness.Add("nats", func(context.Context) error { return errors.New("not connected") })
	server.Readiness.Add("worker", func(context.Context) error { return nil })
	want := `{"ready":false,"failing":{"nats":"not connected"}}` + "\n"
	if status, body := get(t, base+"/readyz"); status != http.StatusServiceUnavailable || body != want {
		t.Errorf("/readyz: %d %s", status, body)
	}
	status, body := get(t, base+"/metrics")
	for _, line := range []string{`pdnsdist_build_info{goversion="go`, `role="primary",version="1.2.3"} 1`, "go_goroutines", "process_open_fds"} {
		if !strings.Contains(body, line) {
			t.Errorf("/metrics: %d, lacks %s", status, line)
		}
	}
	if status, _ := get(t, base+"/debug/pprof/"); status != http.StatusNotFound {
		t.Errorf("/debug/pprof/: %d", status)
	}
}

func TestPortInUse(t *testing.T) {
	server, _ := start(t)
	_, err := telemetry.Listen(t.Context(), server.Addr().String(), telemetry.NewRegistry("", ""), slog.New(slog.DiscardHandler))
	if err == nil || !strings.HasPrefix(err.Error(), "metrics.listen: ") {
		t.Errorf("Listen: %v, want an error that names the key", err)
	}
}

func TestSwitchedOff(t *testing.T) {
	server, err := telemetry.Listen(t.Context(), "", nil, nil)
	if err != nil || server.Addr() != nil {
		t.Fatalf("Listen: %v, %v", server.Addr(), err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := server.Run(ctx); err != nil {
		t.Errorf("Run: %v", err)
	}
}

// A check that hangs is reported by name and holds up no other.
func TestHangingCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var readiness telemetry.Readiness
		hang := make(chan struct{})
		defer close(hang)
		readiness.Add("temporal", func(context.Context) error { <-hang; return nil })
		readiness.Add("nats", func(context.Context) error { return errors.New("down") })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		failing := readiness.Failing(ctx)
		if failing["nats"] != "down" || !strings.HasPrefix(failing["temporal"], "no answer") || len(failing) != 2 {
			t.Errorf("failing: %v", failing)
		}
	})
}
