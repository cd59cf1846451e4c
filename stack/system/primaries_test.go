package system_test

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

const keptZone = "/api/v1/servers/localhost/zones/kept.example."

// A zone made through one primary's PowerDNS is there through the other's, on a standby once that has caught up. A server of
// the databases that is killed, or frozen with all its children, goes on with its data.
func TestPrimariesShareZones(t *testing.T) {
	s := upPrimaries(t, "postgres", "postgres-standby", "pdns-primary", "pdns-primary-2")
	sql(t, s, "select pg_wal_replay_pause()")
	createZone(t, s, env(t, s, "PRIMARY_API_URL"))
	if code, answer := powerdns(t, s, http.MethodGet, env(t, s, "PRIMARY_API_URL_2")+keptZone, ""); code != http.StatusNotFound {
		t.Errorf("a standby that lags: %d %s", code, answer)
	}
	sql(t, s, "select pg_wal_replay_resume()")
	showsKept(t, s)
	for _, name := range []string{"postgres-standby", "postgres", "pdns-primary-2"} {
		if err := s.Kill(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if err := s.Start(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		showsKept(t, s)
	}
	if err := s.Pause(t.Context(), "postgres-standby"); err != nil {
		t.Fatal(err)
	}
	if code, answer := powerdns(t, s, http.MethodGet, env(t, s, "PRIMARY_API_URL")+keptZone, ""); code != http.StatusOK {
		t.Errorf("the first primary while the standby is frozen: %d %s", code, answer)
	}
	if err := s.Resume("postgres-standby"); err != nil {
		t.Fatal(err)
	}
	showsKept(t, s)
	body := `{"name":"new.example.","kind":"Native","nameservers":["ns1.new.example."]}`
	code, answer := powerdns(t, s, http.MethodPost, env(t, s, "PRIMARY_API_URL_2")+"/api/v1/servers/localhost/zones", body)
	if code < 500 {
		t.Errorf("a change on the standby: %d %s", code, answer)
	}
}

func TestTopologyStays(t *testing.T) {
	s := upPrimaries(t, "postgres")
	again := options(s.Dir(), "postgres")
	if _, err := system.Up(t.Context(), again); err != nil {
		t.Errorf("up without a topology: %v", err)
	}
	again.Topology = system.Topology{Primaries: 1}
	if _, err := system.Up(t.Context(), again); err == nil || !strings.Contains(err.Error(), "has two primaries, the second on a standby database: for one primary use another folder") {
		t.Errorf("up with another topology: %v", err)
	}
	if err := shared.Start(t.Context(), "primary-2"); err == nil || !strings.Contains(err.Error(), `no process is called "primary-2"`) {
		t.Errorf("a second primary where there is one: %v", err)
	}
	for _, bad := range []system.Topology{{Primaries: 3}, {Standby: true}, {Primaries: 1, Standby: true}, {Primaries: 2, Apart: true}} {
		if _, err := system.Up(t.Context(), system.Options{Dir: t.TempDir(), Topology: bad}); err == nil {
			t.Errorf("up with %+v succeeded", bad)
		}
	}
}

// upPrimaries starts some of the processes of two primaries. PostgreSQL's user cannot pass through t.TempDir().
func upPrimaries(t *testing.T, names ...string) *system.System {
	t.Helper()
	dir, err := os.MkdirTemp("", "stack") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	opts := options(dir, names...)
	opts.Topology = system.Topology{Primaries: 2, Standby: true}
	return upWith(t, opts)
}

func sql(t *testing.T, s *system.System, statement string) {
	t.Helper()
	if _, err := s.SQL(t.Context(), "postgres-standby", statement); err != nil {
		t.Fatal(err)
	}
}

// showsKept waits until the second primary shows the zone.
func showsKept(t *testing.T, s *system.System) {
	t.Helper()
	eventually(t, 20*time.Second, func() error {
		if code, answer := powerdns(t, s, http.MethodGet, env(t, s, "PRIMARY_API_URL_2")+keptZone, ""); code != http.StatusOK {
			return fmt.Errorf("%d %s", code, answer)
		}
		return nil
	})
}
