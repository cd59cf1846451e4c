package system

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/miekg/dns"
)

// Where Debian's and Ubuntu's package pdns-backend-sqlite3 puts the schema; the first is there too when a container's
// dpkg leaves documentation out.
var sqliteSchemas = []string{
	"/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql",
	"/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql",
}

// nameserver is one pdns_server.
func nameserver(name string) component {
	return component{
		name: name, phase: phaseServers, port: name + ".dns",
		prepare: func(ctx context.Context, s *System) error { return s.preparePowerDNS(ctx, name) },
		command: func(s *System) ([]string, error) {
			server, err := distributionProgram("pdns_server", "pdns-server")
			return []string{server, "--config-dir=" + s.path("config", name)}, err
		},
		ready: func(ctx context.Context, s *System) error { return s.readyPowerDNS(ctx, name) },
	}
}

// backend returns a server's settings for its storage, and makes that where it is not there yet. secondary-2 stands for
// the LMDB backend, two primaries share PostgreSQL, the other servers use SQLite.
func (s *System) backend(ctx context.Context, st *state, name string) ([]string, error) {
	switch {
	case s.topology.replicated() && isPrimary(strings.TrimPrefix(name, "pdns-")):
		return s.postgresBackend(st, name)
	case name == "pdns-secondary-2":
		// nosync: after a crash of the machine everything on a secondary is brought again.
		return []string{"launch=lmdb", "lmdb-filename=" + s.path("data", name, "pdns.lmdb"), "lmdb-shards=1", "lmdb-sync-mode=nosync"}, nil
	}
	db := s.path("data", name, "pdns.sqlite3")
	return []string{"launch=gsqlite3", "gsqlite3-database=" + db, "gsqlite3-dnssec=yes",
		"gsqlite3-pragma-journal-mode=WAL", "gsqlite3-pragma-synchronous=1"}, makeSQLite(ctx, db)
}

func (s *System) preparePowerDNS(ctx context.Context, name string) error {
	st, err := s.readState()
	if err != nil {
		return err
	}
	key, err := s.secret(apiKeyName(name))
	if err != nil {
		return err
	}
	own := s.path("config", name, "pdns.d") // settings of the user's own, which win
	for _, dir := range []string{own, s.path("data", name), s.path("run", name)} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// Settings: https://doc.powerdns.com/authoritative/settings.html. Caches and transfer settings are those that the
	// product's documentation recommends: with default caches a busy zone stays stale for seconds after an update.
	// AXFR from loopback is for the worker on the same host, which compares by it where serials tell nothing, and for tests.
	// socket-dir is relative to the process's working folder, DIR: a Unix socket's path has at most 107 octets, and the
	// path of a checkout may be long.
	settings := []string{
		"local-address=127.0.0.1", fmt.Sprintf("local-port=%d", st.Ports[name+".dns"]),
		"include-dir=" + own, "daemon=no", "guardian=no", "socket-dir=" + filepath.Join("run", name), "version-string=anonymous", "security-poll-suffix=",
		"api=yes", "api-key=" + key, "webserver=yes", "webserver-address=127.0.0.1",
		fmt.Sprintf("webserver-port=%d", st.Ports[name+".api"]), "webserver-allow-from=127.0.0.1", "webserver-max-bodysize=100",
		"query-cache-ttl=0", "negquery-cache-ttl=0",
	}
	if isPrimary(strings.TrimPrefix(name, "pdns-")) {
		settings = append(settings, "primary=yes", "zone-cache-refresh-interval=0", "allow-axfr-ips=127.0.0.0/8,::1")
	} else {
		settings = append(settings, "secondary=yes", "retrieval-threads=2", "xfr-max-received-mbytes=1000", "allow-notify-from=", "allow-axfr-ips=127.0.0.0/8,::1")
	}
	backend, err := s.backend(ctx, st, name)
	if err != nil {
		return err
	}
	settings = append(settings, backend...)
	return writeSecretFile(s.path("config", name, "pdns.conf"), []byte(strings.Join(settings, "\n")+"\n"))
}

func apiKeyName(nameserver string) string {
	if isPrimary(strings.TrimPrefix(nameserver, "pdns-")) {
		return "pdns-primary-api-key"
	}
	return "pdns-secondary-api-key"
}

// makeSQLite makes PowerDNS's empty database, under another name first: a half-made one must not be taken for whole.
func makeSQLite(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	sqlite, err := distributionProgram("sqlite3", "sqlite3")
	if err != nil {
		return err
	}
	schema, err := openFirst(sqliteSchemas)
	if err != nil {
		return fmt.Errorf("PowerDNS's SQLite schema (Debian and Ubuntu package pdns-backend-sqlite3): %w", err)
	}
	defer schema.Close()
	making := path + ".new"
	if err := os.RemoveAll(making); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, sqlite, "-bail", making)
	cmd.Stdin = schema
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("make %s from %s: %w: %s", path, schema.Name(), err, out)
	}
	return os.Rename(making, path)
}

func openFirst(paths []string) (*os.File, error) {
	var faults []error
	for _, path := range paths {
		f, err := os.Open(path)
		if err == nil {
			return f, nil
		}
		faults = append(faults, err)
	}
	return nil, errors.Join(faults...)
}

// readyPowerDNS wants an answer from the API and one by DNS, of whatever kind: an empty server refuses every zone.
func (s *System) readyPowerDNS(ctx context.Context, name string) error {
	st, err := s.readState()
	if err != nil {
		return err
	}
	key, err := s.secret(apiKeyName(name))
	if err != nil {
		return err
	}
	url := pdnsURL(st, name) + "/api/v1/servers/localhost"
	if err := answers(ctx, url, http.Header{"X-Api-Key": {key}}); err != nil {
		return err
	}
	_, err = dns.ExchangeContext(ctx, new(dns.Msg).SetQuestion(".", dns.TypeSOA), loopback(st.Ports[name+".dns"]))
	return err
}

func pdnsURL(st *state, name string) string { return "http://" + loopback(st.Ports[name+".api"]) }
