package telemetry_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// certificate makes a key, and a chain of certificates of which the first is the key's and ends first.
func certificate(t *testing.T, ends ...time.Time) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range ends {
		template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: end.Add(-time.Hour), NotAfter: end}
		der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return chain, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func TestCertificates(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	write := func(path string, data []byte) {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair := func(ends ...time.Time) (pair *tlsconf.Pair, cert, key string) {
		cert, key = filepath.Join(t.TempDir(), "tls.crt"), filepath.Join(t.TempDir(), "tls.key")
		ofCert, ofKey := certificate(t, ends...)
		write(cert, ofCert)
		write(key, ofKey)
		for _, file := range []string{cert, key} { // so that whatever is written next is newer, however coarse times are
			if err := os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
				t.Fatal(err)
			}
		}
		pair, err := tlsconf.LoadPair(cert, key)
		if err != nil {
			t.Fatal(err)
		}
		return pair, cert, key
	}
	ends := time.Unix(1_900_000_000, 0)
	ofNATS, cert, key := pair(ends)
	ofTemporal, _, _ := pair(ends.Add(time.Hour), ends.Add(-time.Hour)) // with its chain
	registry := prometheus.NewRegistry()
	registry.MustRegister(telemetry.Certificates{"nats.cert_file": ofNATS, "temporal.cert_file": ofTemporal})
	want := map[string]int64{"nats.cert_file": ends.Unix(), "temporal.cert_file": ends.Unix() + 3600}
	look := func(when string) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil || len(families) != 1 || families[0].GetName() != "pdnsdist_certificate_expires_timestamp_seconds" {
			t.Fatalf("%v, %v", families, err)
		}
		seen := map[string]int64{}
		for _, m := range families[0].GetMetric() {
			seen[m.GetLabel()[0].GetValue()] = int64(m.GetGauge().GetValue())
		}
		if !maps.Equal(seen, want) {
			t.Errorf("%s: %v, want %v", when, seen, want)
		}
	}
	look("at first")
	renewed, renewedKey := certificate(t, ends.Add(24*time.Hour))
	write(cert, renewed)
	look("with a certificate that the key does not fit")
	if text := log.String(); !strings.Contains(text, "level=WARN") || !strings.Contains(text, cert) {
		t.Errorf("nobody is told of a renewal that does not work: %s", text)
	}
	write(key, renewedKey)
	want["nats.cert_file"] += 24 * 3600
	look("after a renewal")
}
