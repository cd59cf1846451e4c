package config_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

// TestFiles reads each file of testdata. Its first lines say for which role, and
// which faults are expected, all of them and word for word; none is a good file.
func TestFiles(t *testing.T) {
	files, err := filepath.Glob("testdata/*.toml")
	if err != nil || len(files) < 50 {
		t.Fatalf("testdata holds %d files (%v)", len(files), err)
	}
	wants := map[string][]byte{}
	for _, file := range files {
		if wants[filepath.Base(file)], err = os.ReadFile(file); err != nil {
			t.Fatal(err)
		}
	}
	inWorld(t)
	for name, text := range wants {
		t.Run(name, func(t *testing.T) {
			writeFile(t, name, string(text), 0o600)
			role, want := expectation(t, string(text))
			conf, err := config.Load(name, role, nil)
			if len(want) == 0 {
				if err != nil || conf.Role != role {
					t.Fatalf("Load: %v", err)
				}
				return
			}
			var faults config.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("Load returned %v, not Faults", err)
			}
			if got := strings.Split(err.Error(), "\n"); !slices.Equal(got, want) {
				t.Errorf("faults:\n%s\nwant:\n%s", err, strings.Join(want, "\n"))
			}
			if strings.Contains(err.Error(), "hunter2") {
				t.Errorf("a fault shows a password: %v", err)
			}
		})
	}
}

// expectation reads the "# role:" and "# want:" lines of a file.
func expectation(t *testing.T, text string) (role config.Role, want []string) {
	t.Helper()
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "# role: "); ok {
			role = config.Role(name)
		} else if fault, ok := strings.CutPrefix(line, "# want: "); ok {
			want = append(want, fault)
		}
	}
	if role == "" {
		t.Fatal("the file has no \"# role:\" line")
	}
	return role, want
}

// inWorld changes to a folder with the certificates and secrets that the files
// name.
func inWorld(t *testing.T) {
	t.Helper()
	t.Chdir(t.TempDir())
	for _, name := range []string{"api-key", "password", "token"} {
		writeFile(t, name, "  s3cret-"+name+"\n", 0o640)
	}
	writeFile(t, "empty", " \n", 0o600)
	writeFile(t, "lines", "one\ntwo\n", 0o600)
	writeFile(t, "open", "s3cret\n", 0o644)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.pem", "cert.pem"} {
		writeFile(t, name, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})), 0o644)
	}
	writeFile(t, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), 0o600)
	writeFile(t, "user.creds", credentials(t), 0o600)
}

// credentials is a .creds file; its JWT is signed by nobody, which only a server
// would notice.
func credentials(t *testing.T) string {
	t.Helper()
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	seed, err := user.Seed()
	if err != nil {
		t.Fatal(err)
	}
	return "-----BEGIN NATS USER JWT-----\neyJ0eXAiOiJKV1QifQ.e30.c2ln\n------END NATS USER JWT------\n\n" +
		"-----BEGIN USER NKEY SEED-----\n" + string(seed) + "\n------END USER NKEY SEED------\n"
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil { // whatever the umask says
		t.Fatal(err)
	}
}
