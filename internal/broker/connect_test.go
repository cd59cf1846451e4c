package broker_test

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

func TestConnectRefusesWhatCanNeverWork(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name string
		edit func(*broker.Config)
		want string
	}{
		{"no server", func(c *broker.Config) { c.URLs = nil }, "nats.urls is empty"},
		{"clear text", func(c *broker.Config) { c.URLs = []string{"nats://127.0.0.1:4222"} }, "nats.urls: every server must be written tls://"},
		{"one of two in clear text", func(c *broker.Config) { c.URLs = append(c.URLs, "127.0.0.1:4222") }, "nats.urls: every server"},
		{"password in the address", func(c *broker.Config) { c.URLs = []string{"tls://u:secret@127.0.0.1:4222"} }, "without user or password"},
		{"no credentials", func(c *broker.Config) { c.User = "" }, "no credentials: set nats.creds_file"},
		{"no password file", func(c *broker.Config) { c.PasswordFile = "" }, "nats.password_file: is not set"},
		{"password file missing", func(c *broker.Config) { c.PasswordFile = empty }, "nats.password_file: open " + empty},
		{"creds file missing", func(c *broker.Config) { c.CredsFile = empty }, "nats.creds_file: open " + empty},
		{"CA missing", func(c *broker.Config) { c.TLS.CA = empty }, "nats.ca_file"},
		{"certificate without key", func(c *broker.Config) { c.TLS.Cert = empty }, "nats.key_file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := brokertest.Config(stack, "primary")
			c.edit(&cfg)
			_, _, err := broker.Connect(t.Context(), cfg, "test", new(logged).logger())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("error shows the password: %v", err)
			}
		})
	}
}

func TestConnectLogsWhyItFailsOnceAndTriesOn(t *testing.T) {
	password := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(password, []byte("wrong-one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*broker.Config)
		want string
	}{
		{"wrong password", func(c *broker.Config) { c.PasswordFile = password }, "look at nats.creds_file, or nats.user and nats.password_file"},
		{"wrong authority", func(c *broker.Config) { c.TLS = tlsconf.Files{CA: "testdata/other-ca.crt"} }, "not signed by an authority in nats.ca_file"},
		{"nothing there", func(c *broker.Config) { c.URLs = []string{"tls://127.0.0.1:1"} }, "no server answers at nats.urls"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := brokertest.Config(stack, "primary")
			c.edit(&cfg)
			var log logged
			began := time.Now()
			nc, _, err := broker.Connect(t.Context(), cfg, "test", log.logger())
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("Connect took %v", took)
			}
			eventually.True(t, "a log line with "+c.want, func() bool { return strings.Contains(log.String(), c.want) })
			eventually.True(t, "several attempts", func() bool { return nc.Stats().Reconnects >= 2 || c.name != "wrong password" })
			if n := strings.Count(log.String(), c.want); n != 1 {
				t.Errorf("told %d times:\n%s", n, log.String())
			}
			if err := broker.Reach(cfg, "test"); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wrong-one") {
				t.Errorf("why it cannot be reached: %v", err)
			}
			if strings.Contains(log.String(), "wrong-one") {
				t.Error("the log shows the password")
			}
		})
	}
}

func TestReach(t *testing.T) {
	if err := broker.Reach(brokertest.Config(stack, "primary"), "test"); err != nil {
		t.Error(err)
	}
}

func TestConnectionComesBack(t *testing.T) {
	var returns atomic.Int32
	cfg := brokertest.Config(stack, "primary")
	cfg.OnReconnect = func() { returns.Add(1) }
	var log logged
	stack.Stop(t, "nats")
	nc, js, err := broker.Connect(t.Context(), cfg, "test", log.logger())
	if err != nil {
		t.Fatalf("with NATS down: %v", err)
	}
	defer nc.Close()
	began := time.Now()
	if _, err := js.AccountInfo(t.Context()); err == nil {
		t.Error("a question is answered with NATS down")
	}
	if err := nc.Publish("zone.add", nil); err == nil {
		t.Error("a message is held back with NATS down")
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("failing took %v", took)
	}
	stack.StartProc(t, "nats")
	eventually.True(t, "OnReconnect after the first connection", func() bool { return returns.Load() == 1 })
	if _, err := js.AccountInfo(t.Context()); err != nil {
		t.Error(err)
	}
	stack.Kill(t, "nats")
	stack.StartProc(t, "nats")
	eventually.True(t, "OnReconnect after a lost connection", func() bool { return returns.Load() == 2 })
	if _, err := js.AccountInfo(t.Context()); err != nil {
		t.Error(err)
	}
	if !strings.Contains(log.String(), "works again") {
		t.Errorf("the log does not tell the return:\n%s", log.String())
	}
}

func TestHangingServerIsNoticed(t *testing.T) {
	nc, js := brokertest.Connect(t, stack, "primary")
	stack.Pause(t, "nats")
	began := time.Now()
	_, err := js.AccountInfo(t.Context())
	took := time.Since(began)
	until(30*time.Second, func() bool { return !nc.IsConnected() })
	lost := nc.Status()
	stack.Resume(t, "nats")
	if err == nil || took > 6*time.Second {
		t.Errorf("a question to a hanging server ended after %v with %v", took, err)
	}
	if lost == nats.CONNECTED {
		t.Error("a server that hangs for 30 s still counts as connected")
	}
	eventually.True(t, "the connection stands again", nc.IsConnected)
}

// until waits for a condition and lets the test go on without it: a paused
// server must be resumed first.
func until(within time.Duration, condition func() bool) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(within); !condition() && time.Now().Before(deadline); {
		<-tick.C
	}
}
