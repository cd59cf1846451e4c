package system

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"time"
)

const certificateLifetime = 365 * 24 * time.Hour

// Roles are the names in the client certificates; Temporal's claim mapper, Consul's policies and NATS's users grant
// each what its role needs (see temporal.go, consul.go, nats.go).
const (
	RolePrimary    = "primary"
	RolePrimary2   = "primary-2"
	RoleSecondary1 = "secondary-1"
	RoleSecondary2 = "secondary-2"
	RoleOperator   = "operator"
	RoleReader     = "reader"
	// RoleProgram is another program that publishes zone events; it has a password for NATS only.
	RoleProgram = "program"
)

var clientUse = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
var serverUse = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
var bothUses = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// leaves are the certificates of the system. The usages matter: a server's certificate opens no door as a client.
// Temporal's services speak to each other under a CA of their own (internode-ca), so that no certificate given to a
// person or a product process reaches its history and matching services past the frontend's authorization.
var leaves = []struct {
	name, ca string
	uses     []x509.ExtKeyUsage
	dns      []string
}{
	{"nats", "ca", serverUse, nil},
	{"consul", "ca", bothUses, []string{"server.dc1.consul"}}, // the name that verify_server_hostname asks for
	{"temporal", "ca", serverUse, nil},
	{"proxy", "ca", serverUse, nil},
	{RolePrimary, "ca", clientUse, nil},
	{RolePrimary2, "ca", clientUse, nil},
	{RoleSecondary1, "ca", clientUse, nil},
	{RoleSecondary2, "ca", clientUse, nil},
	{RoleOperator, "ca", clientUse, nil},
	{RoleReader, "ca", clientUse, nil},
	{"temporal-system", "ca", clientUse, nil},
	{"temporal-internode", "internode-ca", bothUses, nil},
}

func (s *System) certPath(name string) string { return s.path("pki", name+".crt") }
func (s *System) keyPath(name string) string  { return s.path("pki", name+".key") }

// makePKI makes the CAs and every certificate that is not there yet.
func (s *System) makePKI() error {
	if _, err := os.Stat(s.keyPath("temporal-internode")); err == nil {
		return nil // the last one written
	}
	for _, ca := range []string{"ca", "internode-ca"} {
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: "pdns-distribute stack " + ca}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		if err := s.issue(ca, "", template); err != nil {
			return err
		}
	}
	for _, leaf := range leaves {
		template := &x509.Certificate{
			Subject: pkix.Name{CommonName: leaf.name}, ExtKeyUsage: leaf.uses, KeyUsage: x509.KeyUsageDigitalSignature,
			DNSNames: append([]string{"localhost"}, leaf.dns...), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback},
		}
		if err := s.issue(leaf.name, leaf.ca, template); err != nil {
			return err
		}
	}
	return nil
}

// issue signs template with the CA of that name (itself when empty) and writes name.crt and name.key.
func (s *System) issue(name, ca string, template *x509.Certificate) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120)); err != nil {
		return err
	}
	template.NotBefore = time.Now().Add(-time.Hour) // a guest's clock may be set back a little
	template.NotAfter = time.Now().Add(certificateLifetime)
	parent, signer := template, key
	if ca != "" {
		pair, err := tls.LoadX509KeyPair(s.certPath(ca), s.keyPath(ca))
		if err != nil {
			return fmt.Errorf("load %s: %w", ca, err)
		}
		caKey, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
		if !ok {
			return fmt.Errorf("the key of %s is not an ECDSA key", ca)
		}
		parent, signer = pair.Leaf, caKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		writeSecretFile(s.certPath(name), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		writeSecretFile(s.keyPath(name), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})))
}

// clientTLS trusts the system's CA and, with a role, shows that role's certificate.
func (s *System) clientTLS(role string) (*tls.Config, error) {
	pemData, err := os.ReadFile(s.certPath("ca"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pemData) {
		return nil, fmt.Errorf("no certificate in %s", s.certPath("ca"))
	}
	cfg := &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	if role == "" {
		return cfg, nil
	}
	pair, err := tls.LoadX509KeyPair(s.certPath(role), s.keyPath(role))
	if err != nil {
		return nil, fmt.Errorf("load the certificate of %s: %w", role, err)
	}
	cfg.Certificates = []tls.Certificate{pair}
	return cfg, nil
}
