package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func tlsClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true, DisableCompression: true,
	}}
}

// TestSelfSigned is made once, kept, and made anew when it no longer serves.
func TestSelfSigned(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "proxy.crt"), filepath.Join(dir, "proxy.key")
	log := slog.New(slog.DiscardHandler)
	now := time.Now()
	names := []string{"127.0.0.1", "::1", "host.example", "localhost"}
	keep := func(names []string, now time.Time) (pem string) {
		t.Helper()
		if err := keepSelfSigned(cert, key, names, now, log); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(cert)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first := keep(names, now)
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if err := pair.Leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	if pair.Leaf.PublicKeyAlgorithm != x509.ECDSA {
		t.Errorf("key of kind %s", pair.Leaf.PublicKeyAlgorithm)
	}
	requirePrivate := func() {
		t.Helper()
		if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("key file: %v, %v", info.Mode(), err)
		}
	}
	requirePrivate()
	if again := keep(names, now.Add(time.Hour)); again != first {
		t.Error("made anew without need")
	}
	if again := keep(names, now.Add(-24*365*time.Hour)); again != first {
		t.Error("made anew by a clock that is behind")
	}
	if anew := keep(names, pair.Leaf.NotAfter.Add(-renewBefore+time.Hour)); anew == first {
		t.Error("not renewed before its end")
	}
	renamed := keep(append(names, "other.example"), now)
	if renamed == first {
		t.Error("not made anew for another name")
	}
	if err := os.WriteFile(key, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(key, 0o644); err != nil { // as a backup was restored
		t.Fatal(err)
	}
	if anew := keep(names, now); anew == renamed {
		t.Error("not made anew with a broken key")
	}
	requirePrivate()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestTLS: HTTP/2 and HTTP/1.1 over TLS 1.2 or newer, nothing in clear.
func TestTLS(t *testing.T) {
	p := start(t, testConfig(t, backend(t, answer(http.StatusOK)), &fakeNATS{}))
	if res, _ := p.call("GET", "/", ""); res.ProtoMajor != 2 || res.TLS.Version != tls.VersionTLS13 {
		t.Errorf("%s, TLS %x", res.Proto, res.TLS.Version)
	}
	http1 := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots, MaxVersion: tls.VersionTLS12}}}
	if res, _ := p.do(http1, "GET", "/", nil); res.ProtoMajor != 1 {
		t.Error(res.Proto)
	}
	old := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: p.roots, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}}}
	if res, err := old.Get(p.url); err == nil {
		t.Errorf("TLS 1.1: %s", res.Status)
	}
	res, err := http.Get(strings.Replace(p.url, "https:", "http:", 1))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusBadRequest {
		t.Errorf("in clear: %s", res.Status)
	}
}

// TestConfiguredCertificate is used instead, and a bad one stops the start.
func TestConfiguredCertificate(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1", &fakeNATS{})
	own := t.TempDir()
	cfg.CertFile, cfg.KeyFile = filepath.Join(own, "c"), filepath.Join(own, "k")
	if err := keepSelfSigned(cfg.CertFile, cfg.KeyFile, []string{"127.0.0.1"}, time.Now(), slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	cert, err := os.ReadFile(cfg.CertFile)
	if err != nil {
		t.Fatal(err)
	}
	// What start trusts is the file in the state folder.
	if err := os.WriteFile(filepath.Join(cfg.StateDir, "proxy.crt"), cert, 0o600); err != nil {
		t.Fatal(err)
	}
	p := start(t, cfg)
	p.call("GET", "/", "")
	if err := p.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(cfg.KeyFile); err != nil {
		t.Fatal(err)
	}
	if _, err := (&Proxy{cfg: cfg}).serverTLS(); err == nil || !strings.Contains(err.Error(), "proxy.key_file") {
		t.Errorf("without the key: %v", err)
	}
}

// TestBadConfig says which key is wrong.
func TestBadConfig(t *testing.T) {
	for _, url := range []string{"", "https://127.0.0.1:8081", "http://", "http://127.0.0.1:8081/api/v1", "127.0.0.1:8081"} {
		if _, err := New(testConfig(t, url, &fakeNATS{})); err == nil || !strings.Contains(err.Error(), "powerdns.api_url") {
			t.Errorf("%q: %v", url, err)
		}
	}
}
