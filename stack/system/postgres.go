package system

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The database servers of two primaries, and what is in them.
const (
	databaseName = "postgres"
	standbyName  = "postgres-standby"

	zonesDatabase = "pdns" // the database, and PowerDNS's user there
	postgresUser  = "postgres"
)

// Where Debian's and Ubuntu's package pdns-backend-pgsql puts the schema, as with SQLite's.
var postgresSchemas = []string{
	"/usr/share/pdns-backend-pgsql/schema/schema.pgsql.sql",
	"/usr/share/doc/pdns-backend-pgsql/schema.pgsql.sql",
}

// postgres is one PostgreSQL server.
func postgres(name string, phase int) component {
	return component{
		name: name, phase: phase, port: name + ".sql",
		prepare: func(ctx context.Context, s *System) error { return s.preparePostgres(ctx, name) },
		command: func(s *System) ([]string, error) { return s.commandPostgres(name) },
		ready: func(ctx context.Context, s *System) error {
			_, err := s.SQL(ctx, name, "select count(*) from domains")
			return err
		},
		orderly: unix.SIGINT, // SIGTERM would wait for its clients to leave
	}
}

// commandPostgres gives all settings as arguments: a standby would take over those of a configuration file with its copy.
func (s *System) commandPostgres(name string) ([]string, error) {
	st, err := s.readState()
	if err != nil {
		return nil, err
	}
	argv, err := postgresProgram("postgres", "-D", s.path("data", name))
	for _, setting := range []string{
		"listen_addresses=127.0.0.1", fmt.Sprintf("port=%d", st.Ports[name+".sql"]), "unix_socket_directories=",
		"shared_buffers=16MB", "max_connections=60",
		"fsync=off",                                                // processes are killed here, machines are not
		"wal_keep_size=512MB", "wal_retrieve_retry_interval=200ms", // a standby that was away catches up, and soon
		"max_standby_streaming_delay=-1", // what it takes over does not end queries: it waits for them
	} {
		argv = append(argv, "-c", setting)
	}
	return argv, err
}

// preparePostgres makes the server's files, under another name first: half-made ones must not be taken for whole.
func (s *System) preparePostgres(ctx context.Context, name string) error {
	final := s.path("data", name)
	if _, err := os.Stat(final); err == nil {
		return nil
	}
	making := final + ".new"
	if err := errors.Join(os.RemoveAll(making), os.MkdirAll(making, 0o700), s.admitPostgres(making)); err != nil {
		return err
	}
	fill := s.makeDatabase
	if name == standbyName {
		fill = s.copyDatabase
	}
	if err := fill(ctx, making); err != nil {
		return fmt.Errorf("make the database in %s: %w", final, err)
	}
	return os.Rename(making, final)
}

// admitPostgres gives the folder to the user that the server runs as. Where that is not our own, it must get there: the
// folders above are opened for passing through, which shows no more than names that one knows.
func (s *System) admitPostgres(dir string) error {
	if os.Getuid() != 0 {
		return nil
	}
	owner, err := user.Lookup(postgresUser)
	if err != nil {
		return fmt.Errorf("PostgreSQL does not run as root, and its own user is missing (Debian and Ubuntu package postgresql): run stack/setup.sh test: %w", err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	return errors.Join(os.Chmod(s.dir, 0o711), os.Chmod(s.path("data"), 0o711), os.Chown(dir, uid, gid))
}

// makeDatabase makes an empty database with PowerDNS's tables, without a server (postgres --single).
func (s *System) makeDatabase(ctx context.Context, dir string) error {
	schema, err := openFirst(postgresSchemas)
	if err != nil {
		return fmt.Errorf("PowerDNS's PostgreSQL schema (Debian and Ubuntu package pdns-backend-pgsql): %w", err)
	}
	defer schema.Close()
	admin, err := s.secret(databaseName)
	if err != nil {
		return err
	}
	password, err := s.secret(databaseName + "-" + zonesDatabase)
	if err != nil {
		return err
	}
	if err := runPostgres(ctx, nil, nil, "initdb", "-D", dir, "--username="+postgresUser, "--auth-local=trust", "--auth-host=scram-sha-256",
		"--encoding=UTF8", "--no-locale", "--no-sync"); err != nil {
		return fmt.Errorf("%w\n(user %s must be able to reach the folder: choose one outside of home folders)", err, postgresUser)
	}
	users := fmt.Sprintf("ALTER ROLE %s PASSWORD '%s';\nCREATE ROLE %s LOGIN PASSWORD '%s';\nCREATE DATABASE %s OWNER %s;\n",
		postgresUser, admin, zonesDatabase, password, zonesDatabase, zonesDatabase)
	single := []string{"--single", "-D", dir, "-c", "exit_on_error=on", "-c", "fsync=off"}
	if err := runPostgres(ctx, nil, strings.NewReader(users), "postgres", append(slices.Clone(single), "postgres")...); err != nil {
		return err
	}
	// -j: a statement ends with an empty line, so that one may have several lines.
	asPowerDNS := io.MultiReader(strings.NewReader("SET SESSION AUTHORIZATION "+zonesDatabase+";\n\n"), schema, strings.NewReader("\n\n"))
	return runPostgres(ctx, nil, asPowerDNS, "postgres", append(single, "-j", zonesDatabase)...)
}

// copyDatabase makes a streaming standby of the running server.
func (s *System) copyDatabase(ctx context.Context, dir string) error {
	server, err := s.database(databaseName)
	if err != nil {
		return err
	}
	return runPostgres(ctx, server.environment(), nil, "pg_basebackup", "-D", dir, "--write-recovery-conf", "--checkpoint=fast", "--no-sync")
}

// postgresBackend are PowerDNS's settings for the database of the primary of that name.
func (s *System) postgresBackend(st *state, nameserver string) ([]string, error) {
	password, err := s.secret(databaseName + "-" + zonesDatabase)
	server := databaseName
	if s.topology.Standby && nameserver != "pdns-primary" {
		server = standbyName
	}
	return []string{"launch=gpgsql", "gpgsql-host=127.0.0.1", fmt.Sprintf("gpgsql-port=%d", st.Ports[server+".sql"]),
		"gpgsql-dbname=" + zonesDatabase, "gpgsql-user=" + zonesDatabase, "gpgsql-password=" + password, "gpgsql-dnssec=yes"}, err
}

// SQL has the named server (postgres or postgres-standby) carry out a statement on the zones' database, with every right,
// and returns the rows, one a line, the columns set apart by "|".
func (s *System) SQL(ctx context.Context, server, statement string) (string, error) {
	psql, err := distributionProgram("psql", "postgresql-client")
	if err != nil {
		return "", err
	}
	to, err := s.database(server)
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, psql, "--no-psqlrc", "--no-password", "--quiet", "--no-align", "--tuples-only", "--command="+statement)
	cmd.Env = append(cleanEnvironment(), to.environment()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s on %s: %w: %s", statement, server, err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// database is how its administrator reaches the zones' database on a server.
type database struct {
	port     int
	password string
}

func (s *System) database(server string) (database, error) {
	st, err := s.readState()
	if err != nil {
		return database{}, err
	}
	password, err := s.secret(databaseName)
	return database{st.Ports[server+".sql"], password}, err
}

func (d database) url() string {
	return fmt.Sprintf("postgresql://%s:%s@%s/%s", postgresUser, d.password, loopback(d.port), zonesDatabase)
}

// environment is for PostgreSQL's programs: others can read the arguments of a process.
func (d database) environment() []string {
	return []string{"PGHOST=127.0.0.1", fmt.Sprintf("PGPORT=%d", d.port), "PGUSER=" + postgresUser, "PGPASSWORD=" + d.password,
		"PGDATABASE=" + zonesDatabase, "PGCONNECT_TIMEOUT=5"}
}

// postgresProgram is a command of PostgreSQL's server package. As root it is run as PostgreSQL's own user: it refuses root.
func postgresProgram(name string, args ...string) ([]string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name) // fails only on a bad pattern
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%s is not installed (Debian and Ubuntu package postgresql): run stack/setup.sh test", name)
	}
	argv := append([]string{found[len(found)-1]}, args...)
	if os.Getuid() == 0 {
		argv = append([]string{"setpriv", "--reuid=" + postgresUser, "--regid=" + postgresUser, "--clear-groups", "--"}, argv...)
	}
	return argv, nil
}

// runPostgres runs such a command to its end.
func runPostgres(ctx context.Context, environment []string, stdin io.Reader, name string, args ...string) error {
	argv, err := postgresProgram(name, args...)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Env = "/", stdin, append(cleanEnvironment(), environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(out)))
	}
	return nil
}
