package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"
)

// othersMayUse are the permissions that a file with a secret must not have:
// read or write for everyone. The group may read, so that root can own the file
// and the service's group reads it.
const othersMayUse fs.FileMode = 0o006

// readPrivate reads a file that only this service should read. What is wrong is
// reported; ok is false then.
func readPrivate(faults *faultList, key, path, what string) (data []byte, ok bool) {
	if path == "" {
		faults.add(key, "missing, expected the file that holds %s", what)
		return nil, false
	}
	info, err := os.Stat(path)
	if err == nil {
		data, err = os.ReadFile(path)
	}
	if err != nil {
		faults.add(key, "%s, expected the file that holds %s", reason(err), what)
		return nil, false
	}
	if mode := info.Mode().Perm(); mode&othersMayUse != 0 {
		faults.add(key, "%s has mode %04o, so everyone on this host can use it, expected 0640 or less", path, mode)
		return nil, false
	}
	return data, true
}

// readSecret reads a secret of one line, without the space around it.
func readSecret(faults *faultList, key, path, what string) (Secret, bool) {
	data, ok := readPrivate(faults, key, path, what)
	if !ok {
		return Secret{}, false
	}
	text := strings.TrimSpace(string(data))
	switch {
	case text == "":
		faults.add(key, "%s is empty, expected %s", path, what)
		return Secret{}, false
	case strings.ContainsAny(text, "\r\n"):
		faults.add(key, "%s holds several lines, expected one: %s", path, what)
		return Secret{}, false
	}
	return NewSecret(text), true
}

// checkCredentials wants a NATS .creds file.
func checkCredentials(faults *faultList, key, path string) {
	data, ok := readPrivate(faults, key, path, "the user's JWT and key")
	if !ok {
		return
	}
	_, jwtErr := nkeys.ParseDecoratedJWT(data)
	_, keyErr := nkeys.ParseDecoratedUserNKey(data)
	if jwtErr != nil || keyErr != nil {
		faults.add(key, "%s does not hold the JWT and the key of a user, expected a .creds file as nsc writes it", path)
	}
}

// checkAuthorities wants a PEM file of certificates.
func checkAuthorities(faults *faultList, key, path string, required bool) {
	if path == "" {
		if required {
			faults.add(key, "missing, expected the PEM file of the authorities that sign the server's certificate")
		}
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		faults.add(key, "%s, expected a PEM file of certificates", reason(err))
	} else if !x509.NewCertPool().AppendCertsFromPEM(data) {
		faults.add(key, "%s holds no certificate, expected a PEM file of certificates", path)
	}
}

// checkPair wants a certificate with its key, or neither.
func checkPair(faults *faultList, section, certFile, keyFile string) {
	certKey, keyKey := section+".cert_file", section+".key_file"
	switch {
	case certFile == "" && keyFile == "":
		return
	case certFile == "":
		faults.add(certKey, "missing, expected the certificate of %s", keyKey)
		return
	}
	_, readable := readPrivate(faults, keyKey, keyFile, "the key of "+certKey)
	if _, err := os.Stat(certFile); err != nil {
		faults.add(certKey, "%s, expected a PEM certificate", reason(err))
		return
	}
	if !readable {
		return
	}
	if _, err := tls.LoadX509KeyPair(certFile, keyFile); err != nil {
		faults.add(certKey, "%s and %s cannot be used together (%v), expected a PEM certificate and its key", certFile, keyFile, err)
	}
}

// checkFolder wants a folder that we may write to, or may make.
func checkFolder(faults *faultList, key, path string) {
	if path == "" {
		faults.add(key, "is empty, expected a folder for what must last")
		return
	}
	at := filepath.Clean(path)
	info, err := os.Stat(at)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	switch {
	case err != nil:
		faults.add(key, "%s, expected a folder", reason(err))
	case !info.IsDir():
		faults.add(key, "%s is not a folder, expected one", at)
	case unix.Access(at, unix.W_OK|unix.X_OK) != nil:
		faults.add(key, "%s cannot be written to by this user, expected a folder that can", at)
	}
}
