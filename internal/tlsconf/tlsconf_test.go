package tlsconf_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

// write makes a self-signed certificate for 127.0.0.1 in dir and returns its
// files; each call makes another.
func write(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "test"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for file, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// meet lets a client and a server shake hands and returns what each saw of the
// other's certificate.
func meet(t *testing.T, client, server *tls.Config) (ofServer, ofClient []byte, err error) {
	t.Helper()
	listener, err := tls.Listen("tcp", "127.0.0.1:0", server)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	seen := make(chan []byte, 1)
	go func() {
		defer close(seen)
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		handshake := conn.(*tls.Conn)
		if handshake.Handshake() != nil {
			return
		}
		if peers := handshake.ConnectionState().PeerCertificates; len(peers) > 0 {
			seen <- peers[0].Raw
		}
		_, _ = conn.Write([]byte("x"))
	}()
	conn, err := tls.Dial("tcp", listener.Addr().String(), client)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.ReadAll(conn); err != nil {
		return nil, nil, err
	}
	return conn.ConnectionState().PeerCertificates[0].Raw, <-seen, nil
}

func TestFaultsNameTheFile(t *testing.T) {
	dir := t.TempDir()
	cert, key := write(t, dir)
	odd := filepath.Join(dir, "odd.pem")
	if err := os.WriteFile(odd, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	none := filepath.Join(dir, "none.pem")
	for _, c := range []struct {
		files tlsconf.Files
		want  string
	}{
		{tlsconf.Files{CA: none}, "none.pem"},
		{tlsconf.Files{CA: odd}, "odd.pem holds no PEM certificate"},
		{tlsconf.Files{Cert: cert}, "needs both"},
		{tlsconf.Files{Key: key}, "needs both"},
		{tlsconf.Files{Cert: none, Key: key}, "none.pem"},
		{tlsconf.Files{Cert: cert, Key: none}, "none.pem"},
		{tlsconf.Files{Cert: odd, Key: key}, "odd.pem"},
		{tlsconf.Files{Cert: cert, Key: odd}, "odd.pem"},
	} {
		if _, err := tlsconf.Client(c.files); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("client of %+v: %v, want %q", c.files, err, c.want)
		}
		if c.files.CA != "" {
			continue
		}
		if _, err := tlsconf.Server(c.files.Cert, c.files.Key); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("server of %+v: %v, want %q", c.files, err, c.want)
		}
	}
}

func TestHandshake(t *testing.T) {
	cert, key := write(t, t.TempDir())
	server, err := tlsconf.Server(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := write(t, t.TempDir())
	for _, c := range []struct {
		name   string
		files  tlsconf.Files
		server func(*tls.Config)
		fails  bool
	}{
		{"trusted", tlsconf.Files{CA: cert}, func(*tls.Config) {}, false},
		{"other authority", tlsconf.Files{CA: other}, func(*tls.Config) {}, true},
		{"authorities of the system", tlsconf.Files{}, func(*tls.Config) {}, true},
		{"other name", tlsconf.Files{CA: cert, ServerName: "nats.example"}, func(*tls.Config) {}, true},
		{"server of TLS 1.1", tlsconf.Files{CA: cert}, func(s *tls.Config) { s.MinVersion, s.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := tlsconf.Client(c.files)
			if err != nil {
				t.Fatal(err)
			}
			conf := server.Clone()
			c.server(conf)
			if _, _, err := meet(t, client, conf); (err != nil) != c.fails {
				t.Errorf("handshake: %v", err)
			}
		})
	}
}

func TestRenewedCertificateIsUsed(t *testing.T) {
	serverDir, clientDir := t.TempDir(), t.TempDir()
	cert, key := write(t, serverDir)
	own, ownKey := write(t, clientDir)
	server, err := tlsconf.Server(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	server.ClientAuth = tls.RequireAnyClientCert
	client, err := tlsconf.Client(tlsconf.Files{CA: cert, Cert: own, Key: ownKey})
	if err != nil {
		t.Fatal(err)
	}
	firstServer, firstClient, err := meet(t, client, server)
	if err != nil {
		t.Fatal(err)
	}
	age(t, own, ownKey)
	write(t, clientDir)
	age(t, cert, key)
	// Half renewed: certificate and key do not fit together, the old pair serves.
	good, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, serverDir)
	renewed, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(key, good, 0o600); err != nil {
		t.Fatal(err)
	}
	sameServer, newClient, err := meet(t, client, server)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sameServer, firstServer) || len(newClient) == 0 || bytes.Equal(newClient, firstClient) {
		t.Error("the client's new certificate is not used, or the server's half renewed one is")
	}
	if err := os.WriteFile(key, renewed, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := meet(t, client, server); err == nil {
		t.Error("the server's new certificate, which the client does not trust yet, is not used")
	}
}

// age sets files back in time, so that the next write shows in their times.
func age(t *testing.T, files ...string) {
	t.Helper()
	for _, file := range files {
		if err := os.Chtimes(file, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	}
}
