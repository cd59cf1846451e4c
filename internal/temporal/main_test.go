package temporal_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// stack is a real Temporal for the tests of this package.
var stack *stacktest.Stack

func TestMain(m *testing.M) { stacktest.Main(m, &stack, "temporal") }

// config is how role (primary, secondary-1, operator, reader) connects.
func config(role string) temporal.Config {
	return temporal.Config{
		Address: stack.Env("TEMPORAL_ADDRESS"), Namespace: stack.Env("TEMPORAL_NAMESPACE"),
		TLS: tlsconf.Files{
			CA: stack.Env("TEMPORAL_TLS_CA"), ServerName: "localhost",
			Cert: filepath.Join(stack.Dir(), "pki", role+".crt"), Key: filepath.Join(stack.Dir(), "pki", role+".key"),
		},
	}
}

func dial(t *testing.T, cfg temporal.Config, log *slog.Logger) client.Client {
	t.Helper()
	c, err := temporal.Dial(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// logged collects log lines.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
