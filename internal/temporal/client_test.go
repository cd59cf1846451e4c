package temporal_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
)

func TestDialRefusesWhatCanNeverWork(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	for _, c := range []struct {
		name string
		edit func(*temporal.Config)
		want string
	}{
		{"no address", func(c *temporal.Config) { c.Address = "" }, "temporal.address is not set"},
		{"with a scheme", func(c *temporal.Config) { c.Address = "http://127.0.0.1:7233" }, "temporal.address must be host:port"},
		{"no credentials", func(c *temporal.Config) { c.TLS.Cert, c.TLS.Key = "", "" }, "set temporal.cert_file with temporal.key_file, or temporal.api_key_file"},
		{"certificate missing", func(c *temporal.Config) { c.TLS.Cert = none }, "temporal.cert_file"},
		{"CA missing", func(c *temporal.Config) { c.TLS.CA = none }, "temporal.ca_file"},
		{"API key missing", func(c *temporal.Config) { c.APIKeyFile = none }, "temporal.api_key_file: open"},
	} {
		cfg := config("primary")
		c.edit(&cfg)
		if _, err := temporal.Dial(t.Context(), cfg, quiet()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func TestReadyNamesTheKey(t *testing.T) {
	apiKey := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(apiKey, []byte("secret-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*temporal.Config)
		want string
	}{
		{"as configured", func(*temporal.Config) {}, ""},
		{"other namespace", func(c *temporal.Config) { c.Namespace = "elsewhere" }, "temporal.namespace"},
		{"other authority", func(c *temporal.Config) { c.TLS.CA = "../broker/testdata/other-ca.crt" }, "not signed by an authority in temporal.ca_file"},
		{"other name", func(c *temporal.Config) { c.TLS.ServerName = "temporal.example" }, "temporal.server_name"},
		{"API key in place of a certificate", func(c *temporal.Config) { c.TLS.Cert, c.TLS.Key, c.APIKeyFile = "", "", apiKey }, "temporal.cert_file"},
		{"clear text", func(c *temporal.Config) {
			c.Address = strings.TrimPrefix(stack.Env("TEMPORAL_UI_URL"), "http://")
		}, "speaks clear text"},
		{"nothing there", func(c *temporal.Config) { c.Address = "127.0.0.1:1" }, "nothing answers at temporal.address"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config("primary")
			c.edit(&cfg)
			var log logged
			began := time.Now()
			tc := dial(t, cfg, slog.New(slog.NewTextHandler(&log, nil)))
			err := temporal.Ready(t.Context(), tc, cfg.Namespace)
			if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(log.String(), c.want)) {
				t.Errorf("%v, want %q, in the log too:\n%s", err, c.want, log.String())
			}
			if took := time.Since(began); took > 12*time.Second {
				t.Errorf("took %v", took)
			}
			if strings.Contains(log.String(), "secret-key") || err != nil && strings.Contains(err.Error(), "secret-key") {
				t.Error("the API key is shown")
			}
		})
	}
}

func TestTemporalComesBack(t *testing.T) {
	stack.Stop(t, "temporal")
	cfg := config("primary")
	c := dial(t, cfg, quiet())
	var log logged
	ready := make(chan error, 1)
	go func() {
		ready <- temporal.WaitReady(t.Context(), c, cfg.Namespace, slog.New(slog.NewTextHandler(&log, nil)))
	}()
	eventually.True(t, "the log tells why", func() bool { return strings.Contains(log.String(), "temporal.address") })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := temporal.WaitReady(ctx, c, cfg.Namespace, quiet()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	stack.StartProc(t, "temporal")
	if err := <-ready; err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), "works again") {
		t.Errorf("the log does not tell the return:\n%s", log.String())
	}
	stack.Kill(t, "temporal")
	if err := temporal.Ready(t.Context(), c, cfg.Namespace); err == nil {
		t.Error("ready with Temporal killed")
	}
	stack.StartProc(t, "temporal")
	eventually.True(t, "the same client works again", func() bool {
		return temporal.Ready(t.Context(), c, cfg.Namespace) == nil
	})
}
