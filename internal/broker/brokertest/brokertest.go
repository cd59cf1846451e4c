// Package brokertest connects tests to the real NATS of a test stack.
package brokertest

import (
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// Config is how role (primary, secondary-1, secondary-2, operator) connects to the
// stack's NATS.
func Config(s *stacktest.Stack, role string) broker.Config {
	return broker.Config{
		URLs:         []string{s.Env("NATS_URL")},
		TLS:          tlsconf.Files{CA: s.Env("NATS_CA")},
		User:         role,
		PasswordFile: filepath.Join(s.Dir(), "secrets", "nats-"+role),
	}
}

// Connect connects as role, until the test ends. Nothing is logged.
func Connect(t testing.TB, s *stacktest.Stack, role string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, js, err := broker.Connect(t.Context(), Config(s, role), "test of "+role, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc, js
}

// streamStore is nats-server's error code for "error creating store for stream".
const streamStore jetstream.ErrorCode = 10049

// Fresh connects as primary to newly made streams and buckets, whatever was
// there before.
//
// nats-server 2.15.2 sometimes (9 of 400) has a stream that is made anew within
// milliseconds come back with what was last written to the one removed, or cannot
// make its store while the removed one's is still being cleared away
// (streamStore): both are then removed and made once more.
func Fresh(t testing.TB, s *stacktest.Stack) jetstream.JetStream {
	t.Helper()
	_, js := Connect(t, s, "primary")
	eventually.True(t, "new streams are empty", func() bool {
		Empty(t, js)
		created, err := broker.Ensure(t.Context(), js, Config(s, "primary"))
		var refused *jetstream.APIError
		if errors.As(err, &refused) && refused.ErrorCode == streamStore {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range created {
			stream, err := js.Stream(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if stream.CachedInfo().State.Msgs > 0 {
				return false
			}
		}
		return true
	})
	return js
}

// Empty removes all streams and buckets.
func Empty(t testing.TB, js jetstream.JetStream) {
	t.Helper()
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	if names.Err() != nil {
		t.Fatal(names.Err())
	}
}
