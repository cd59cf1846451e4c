package stacktest

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"strings"
	"testing"
)

func TestStartGivesServersOverTLS(t *testing.T) {
	s := Start(t, "nats", "pdns-primary")
	if _, err := os.Stat(s.ConfigPath("secondary-1")); err != nil {
		t.Errorf("the configuration of a process that was not started: %v", err)
	}
	addr := strings.TrimPrefix(s.Env("NATS_URL"), "tls://")
	if _, err := net.Dial("tcp", addr); err != nil {
		t.Fatal(err)
	}
	s.Stop(t, "nats")
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("NATS still listens after Stop")
	}
	s.StartProc(t, "nats")
	if _, err := net.Dial("tcp", addr); err != nil {
		t.Errorf("after the second start, at the same address: %v", err)
	}
	// Consul and Temporal speak TLS from the first octet; NATS sends a line of its own first, so ask the CA's file.
	pem, err := os.ReadFile(s.Env("NATS_CA"))
	if err != nil {
		t.Fatal(err)
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(pem) {
		t.Errorf("%s holds no certificate", s.Env("NATS_CA"))
	}
	if _, err := tls.LoadX509KeyPair(s.Env("TEMPORAL_TLS_CERT"), s.Env("TEMPORAL_TLS_KEY")); err != nil {
		t.Error(err)
	}
}

func TestUpWithoutStackBinaryNamesTheRemedy(t *testing.T) {
	t.Setenv("STACK_BIN", "")
	if _, err := Up("nats"); err == nil || !strings.Contains(err.Error(), "make test") {
		t.Errorf("Up without STACK_BIN: %v, want an error that names `make test`", err)
	}
}

func TestReadEnv(t *testing.T) {
	path := t.TempDir() + "/env"
	content := "# comment=1\nA=b\nPATHS='/a dir/x'\nexport A PATHS\n"
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	env, err := readEnv(path)
	if err != nil || len(env) != 2 || env["A"] != "b" || env["PATHS"] != "/a dir/x" {
		t.Errorf("readEnv = %v, %v", env, err)
	}
}
