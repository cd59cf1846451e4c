// Package tlsconf makes TLS configurations from the files that the
// configuration names. A client certificate is read again when its files
// change, so that a renewed one is used at the next connection without a
// restart.
package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
)

// Files names what a TLS client needs.
type Files struct {
	// CA is the PEM file of the authorities that may sign the server's
	// certificate; empty means those of the system.
	CA string
	// Cert and Key are the PEM files of the client's own certificate and its
	// key; both or neither.
	Cert, Key string
	// ServerName overrides the name that the server's certificate must carry;
	// empty means the host connected to.
	ServerName string
}

// Client returns the TLS configuration of a client: TLS 1.2 or newer, the
// server always verified. The error names the file that is missing or bad.
func Client(f Files) (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: f.ServerName}
	if f.CA != "" {
		pool, err := authorities(f.CA)
		if err != nil {
			return nil, err
		}
		conf.RootCAs = pool
	}
	if f.Cert == "" && f.Key == "" {
		return conf, nil
	}
	own, err := LoadPair(f.Cert, f.Key)
	if err != nil {
		return nil, err
	}
	conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		return own.Current(), nil
	}
	return conf, nil
}

// Server returns the TLS configuration of a server: TLS 1.2 or newer, with the
// certificate of these files.
func Server(cert, key string) (*tls.Config, error) {
	own, err := LoadPair(cert, key)
	if err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return own.Current(), nil
		},
	}, nil
}

func authorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("read CA file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("CA file %s holds no PEM certificate", file)
	}
	return pool, nil
}

var errPairIncomplete = errors.New("a certificate needs both its certificate file and its key file")
