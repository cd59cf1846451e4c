package pdnstest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The backends that a server can keep its zones in.
const (
	SQLite = "gsqlite3"
	LMDB   = "lmdb"
)

// Backends lists them, for tests that run with each.
var Backends = []string{SQLite, LMDB}

const (
	apiKey = "pdnstest-key"
	// schema is where Debian's pdns-backend-sqlite3 puts the tables; container
	// images often leave out /usr/share/doc, where a copy lies.
	schema       = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql"
	startTries   = 5
	startTimeout = 20 * time.Second
)

// Server is one running pdns_server.
type Server struct {
	// DNS is its address for questions and transfers, host:port.
	DNS string
	// APIURL and APIKey are for api.New.
	APIURL, APIKey string

	dir string
	cmd *exec.Cmd
	log *bytes.Buffer
	end chan struct{} // closed when the process has ended
}

// Primary starts a server with the settings that the README recommends for a primary.
func Primary(t testing.TB, backend string, extra ...string) *Server {
	t.Helper()
	return start(t, backend, append([]string{"primary=yes", "allow-axfr-ips=127.0.0.0/8,::1"}, extra...))
}

// Secondary starts a server with the settings that the README recommends for a secondary.
func Secondary(t testing.TB, backend string, extra ...string) *Server {
	t.Helper()
	return start(t, backend, append([]string{
		"secondary=yes", "retrieval-threads=2", "xfr-max-received-mbytes=1000", "allow-notify-from=",
		"default-api-rectify=no", // nothing may depend on it
		"allow-axfr-ips=127.0.0.0/8,::1",
	}, extra...))
}

// start starts a server with settings ("name=value") besides the usual ones
// and ends it with the test. A port that another process took in between is
// no failure: the next is tried.
func start(t testing.TB, backend string, settings []string) *Server {
	t.Helper()
	s := &Server{APIKey: apiKey, dir: t.TempDir()}
	if backend == SQLite {
		createDatabase(t, s.database())
	}
	for try := 1; ; try++ {
		dnsPort, apiPort := freePort(t), freePort(t)
		s.DNS = net.JoinHostPort("127.0.0.1", dnsPort)
		s.APIURL = "http://127.0.0.1:" + apiPort
		s.writeConfig(t, append(settings, "local-port="+dnsPort, "webserver-port="+apiPort, "launch="+backend))
		err := s.run(t.Context())
		if err == nil {
			break
		}
		if try == startTries {
			t.Fatalf("start pdns_server: %v\n%s", err, s.log)
		}
	}
	t.Cleanup(func() {
		s.stop()
		if t.Failed() {
			t.Logf("log of pdns_server %s:\n%s", s.DNS, tail(s.log.String(), 40))
		}
	})
	return s
}

func (s *Server) database() string { return filepath.Join(s.dir, "pdns.sqlite3") }

// Restart stops the server and starts it with the same data and addresses.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.stop()
	if err := s.run(t.Context()); err != nil {
		t.Fatalf("restart pdns_server: %v\n%s", err, s.log)
	}
}

// Pdnsutil runs pdnsutil on the server's data and returns what it printed.
func (s *Server) Pdnsutil(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "pdnsutil", append([]string{"--config-dir=" + s.dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("pdnsutil %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func (s *Server) writeConfig(t testing.TB, settings []string) {
	t.Helper()
	common := []string{
		"local-address=127.0.0.1", "webserver=yes", "webserver-address=127.0.0.1", "api=yes", "api-key=" + apiKey,
		"socket-dir=" + s.dir, "daemon=no", "guardian=no", "disable-syslog=yes", "log-timestamp=no", "loglevel=5",
		"security-poll-suffix=", "zone-cache-refresh-interval=0", "query-cache-ttl=0", "negquery-cache-ttl=0",
		"webserver-max-bodysize=100", "receiver-threads=1", "distributor-threads=2", "signing-threads=2",
		"gsqlite3-database=" + s.database(), "gsqlite3-dnssec=yes", "gsqlite3-pragma-synchronous=0",
		"lmdb-filename=" + filepath.Join(s.dir, "pdns.lmdb"), "lmdb-shards=1", "lmdb-sync-mode=nosync",
	}
	backend := settings[len(settings)-1]
	var text strings.Builder
	for _, line := range append(common, settings...) {
		// Settings of a backend that is not launched are an error to PowerDNS.
		if strings.HasPrefix(line, "gsqlite3-") && backend != "launch="+SQLite ||
			strings.HasPrefix(line, "lmdb-") && backend != "launch="+LMDB {
			continue
		}
		fmt.Fprintln(&text, line)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "pdns.conf"), []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
}

// run starts the process and waits until its API answers.
func (s *Server) run(ctx context.Context) error {
	s.log = new(bytes.Buffer)
	s.cmd = exec.Command("pdns_server", "--config-dir="+s.dir)
	s.cmd.Stdout, s.cmd.Stderr = s.log, s.log
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("%w (install pdns-server, pdns-backend-sqlite3, pdns-backend-lmdb)", err)
	}
	end := make(chan struct{})
	s.end = end
	go func(cmd *exec.Cmd) {
		_ = cmd.Wait() // how it ended shows in its log
		close(end)
	}(s.cmd)

	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !s.ready(ctx) {
		select {
		case <-end:
			return fmt.Errorf("pdns_server ended at once")
		case <-ctx.Done():
			s.stop()
			return fmt.Errorf("its API did not answer within %s", startTimeout)
		case <-tick.C:
		}
	}
	return nil
}

func (s *Server) ready(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.APIURL+"/api/v1/servers/localhost", nil)
	if err != nil {
		return false
	}
	req.Header.Set("X-API-Key", s.APIKey)
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// stop kills the process, and only it, and waits until it is gone.
func (s *Server) stop() {
	_ = s.cmd.Process.Kill() // an error means that it has ended
	<-s.end
}

func createDatabase(t testing.TB, file string) {
	t.Helper()
	sql, err := os.Open(schema)
	if err != nil {
		t.Fatalf("tables for SQLite (install pdns-backend-sqlite3): %v", err)
	}
	defer sql.Close()
	runSQL(t, file, sql)
	runSQL(t, file, strings.NewReader("PRAGMA journal_mode=WAL;"))
}

// SQL runs statements on a SQLite server's database, past PowerDNS.
func (s *Server) SQL(t testing.TB, statements string) {
	t.Helper()
	runSQL(t, s.database(), strings.NewReader(statements))
}

func runSQL(t testing.TB, file string, statements io.Reader) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sqlite3", "-bail", file)
	cmd.Stdin = statements
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sqlite3 (install sqlite3): %v\n%s", err, out)
	}
}

// freePort returns a port that is free for both UDP and TCP now.
func freePort(t testing.TB) string {
	t.Helper()
	for range 50 {
		tcp, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, err := net.SplitHostPort(tcp.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", tcp.Addr().String())
		tcp.Close()
		if err == nil {
			udp.Close()
			return port
		}
	}
	t.Fatal("no port is free for both UDP and TCP")
	return ""
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
