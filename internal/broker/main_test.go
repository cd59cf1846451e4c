package broker_test

import (
	"bytes"
	"log/slog"
	"sync"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
)

// stack is a real NATS for the tests of this package.
var stack *stacktest.Stack

func TestMain(m *testing.M) { stacktest.Main(m, &stack, "nats") }

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

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
