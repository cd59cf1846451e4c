package proxy

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/renameio/v2"

	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

const (
	// selfSignedFor is long, since clients pin the certificate: each new one has
	// to be given to them.
	selfSignedFor = 10 * 365 * 24 * time.Hour
	// renewBefore is how long before its end a certificate is replaced at start.
	renewBefore = 60 * 24 * time.Hour
)

// serverTLS returns the TLS configuration of the server, with the configured
// certificate or the self-signed one.
func (p *Proxy) serverTLS() (*tls.Config, error) {
	cert, key := p.cfg.CertFile, p.cfg.KeyFile
	if cert == "" && key == "" {
		cert, key = filepath.Join(p.cfg.StateDir, "proxy.crt"), filepath.Join(p.cfg.StateDir, "proxy.key")
		if err := keepSelfSigned(cert, key, serverNames(p.cfg.Listen), time.Now(), p.log); err != nil {
			return nil, fmt.Errorf("self-signed certificate of the api-proxy: %w", err)
		}
	}
	conf, err := tlsconf.Server(cert, key)
	if err != nil {
		return nil, fmt.Errorf("proxy.cert_file or proxy.key_file: %w", err)
	}
	return conf, nil
}

// serverNames are the names and addresses that clients may use: this host's
// name, loopback, and the host of the listen address where it has one.
func serverNames(listen string) []string {
	names := []string{"localhost", "127.0.0.1", "::1"}
	if host, err := os.Hostname(); err == nil && host != "" {
		names = append(names, host)
	}
	host, _, err := net.SplitHostPort(listen)
	if ip := net.ParseIP(host); err == nil && host != "" && (ip == nil || !ip.IsUnspecified()) {
		names = append(names, host)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// keepSelfSigned makes certificate and key unless they are there, fit together,
// have all names and stay valid for a while.
func keepSelfSigned(certFile, keyFile string, names []string, now time.Time, log *slog.Logger) error {
	why := stale(certFile, keyFile, names, now)
	if why == "" {
		return nil
	}
	cert, key, err := selfSigned(names, now)
	if err != nil {
		return err
	}
	// The key first: after a crash in between they do not fit and are made anew.
	if err := replaceFile(keyFile, "PRIVATE KEY", key, 0o600); err != nil {
		return err
	}
	if err := replaceFile(certFile, "CERTIFICATE", cert, 0o644); err != nil {
		return err
	}
	log.Info("made a self-signed certificate for the api-proxy; clients verify it with this file as CA",
		"reason", why, "file", certFile, "sha256", fmt.Sprintf("%X", sha256.Sum256(cert)), "names", names)
	return nil
}

// stale tells why a certificate must be made, or "".
func stale(certFile, keyFile string, names []string, now time.Time) string {
	if _, err := os.Stat(certFile); os.IsNotExist(err) {
		return "there is none yet"
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return "the old one cannot be used: " + err.Error()
	}
	if now.Add(renewBefore).After(pair.Leaf.NotAfter) { // one that is not valid yet says that the clock is behind
		return fmt.Sprintf("the old one is valid from %s to %s", pair.Leaf.NotBefore.Format(time.DateOnly), pair.Leaf.NotAfter.Format(time.DateOnly))
	}
	for _, name := range names {
		ip := net.ParseIP(name)
		if !slices.Contains(pair.Leaf.DNSNames, name) && !slices.ContainsFunc(pair.Leaf.IPAddresses, ip.Equal) {
			return "the old one is not for " + name
		}
	}
	return ""
}

// selfSigned makes a certificate and its key in DER.
func selfSigned(names []string, now time.Time) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "pdns-distribute api-proxy"},
		NotBefore:             time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), // a client's clock may be behind, or ours may be ahead
		NotAfter:              now.Add(selfSignedFor),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	if cert, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private); err != nil {
		return nil, nil, err
	}
	key, err = x509.MarshalPKCS8PrivateKey(private)
	return cert, key, err
}

// replaceFile writes a PEM file such that it is there as a whole or not at all,
// and never readable by others than mode allows.
func replaceFile(path, kind string, der []byte, mode os.FileMode) error {
	f, err := renameio.NewPendingFile(path, renameio.WithTempDir(filepath.Dir(path)), renameio.WithStaticPermissions(mode))
	if err != nil {
		return err
	}
	defer f.Cleanup() //nolint:errcheck // nothing is left to do once the file is in place; else the first error counts
	if err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der}); err == nil {
		err = f.CloseAtomicallyReplace()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
