package system

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// secret returns the secret of that name, made of 128 random bits on first use and kept in DIR/secrets (0600).
func (s *System) secret(name string) (string, error) {
	data, err := os.ReadFile(s.secretPath(name))
	if err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	if !os.IsNotExist(err) {
		return "", fmt.Errorf("read secret %s: %w", name, err)
	}
	raw := make([]byte, 16)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	value := hex.EncodeToString(raw)
	if strings.HasPrefix(name, "consul-") {
		value = uuidOf(raw) // Consul takes no other form for a token
	}
	return value, writeSecretFile(s.secretPath(name), []byte(value+"\n"))
}

// secretPath is the file of a secret, for configuration that names files and not values.
func (s *System) secretPath(name string) string { return s.path("secrets", name) }

func uuidOf(raw []byte) string {
	h := hex.EncodeToString(raw)
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// writeSecretFile replaces the file whole, so that a reader sees the old or the new content, for its owner alone.
func writeSecretFile(path string, data []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // CreateTemp makes it 0600
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Close()); err == nil {
		err = os.Rename(tmp.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(tmp.Name()))
	}
	return nil
}
