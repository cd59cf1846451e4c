package telemetry_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
)

// certificate is a PEM block of a certificate that ends then.
func certificate(t *testing.T, ends time.Time) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestCertificates(t *testing.T) {
	ends := time.Unix(1_900_000_000, 0)
	file := func(name string, parts ...[]byte) string {
		path := filepath.Join(t.TempDir(), name)
		var data []byte
		for _, part := range parts {
			data = append(data, part...)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("secret")})
	renewed := file("nats.crt", certificate(t, ends))
	shown := telemetry.Certificates{
		"nats.cert_file":     renewed,
		"temporal.cert_file": file("temporal.crt", key, certificate(t, ends.Add(time.Hour)), certificate(t, ends.Add(-time.Hour))), // with its chain
		"consul.cert_file":   "",                                                                                                   // none is needed there
		"proxy.cert_file":    file("proxy.crt", []byte("no certificate")),
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(shown)
	look := func() map[string]int64 {
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "pdnsdist_certificate_expires_timestamp_seconds" {
			t.Fatalf("%v, %v", families, err)
		}
		seen := map[string]int64{}
		for _, m := range families[0].GetMetric() {
			seen[m.GetLabel()[0].GetValue()] = int64(m.GetGauge().GetValue())
		}
		return seen
	}
	want := map[string]int64{"nats.cert_file": ends.Unix(), "temporal.cert_file": ends.Unix() + 3600}
	if got := look(); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if err := os.WriteFile(renewed, certificate(t, ends.Add(24*time.Hour)), 0o600); err != nil {
		t.Fatal(err)
	}
	want["nats.cert_file"] += 24 * 3600
	if got := look(); !maps.Equal(got, want) {
		t.Errorf("after a renewal: %v, want %v", got, want)
	}
}
