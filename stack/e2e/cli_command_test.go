package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// testCommandLine has a system of its own: it stops parts of it, and `status` counts all zones.
func testCommandLine(t *testing.T) {
	s := startSite(t, system.Topology{}, "")
	const zone = "demo.example."
	s.proxy.create(t, zone, 7, set("www."+zone, "A", "192.0.2.1"))
	until(t, soon, func() error { return servesSerial(t.Context(), zone, 7, s.secondaries...) })

	t.Run("check-config", func(t *testing.T) { testCheckConfig(t, s.on(t)) })
	t.Run("all in sync", func(t *testing.T) { testCommandsInSync(t, s.on(t)) })
	t.Run("README", func(t *testing.T) { testReadme(t, s.on(t)) })
	t.Run("a secondary away", func(t *testing.T) { testCommandsWithout(t, s.on(t)) })
	t.Run("README, checks and holds", func(t *testing.T) { testReadmeChecks(t, s.on(t)) })
}

// printed runs a command of pdns-distribute that must end with this exit code and print all these lines, among others, given
// as regular expressions.
func (s *site) printed(t *testing.T, code int, command string, lines ...string) {
	t.Helper()
	if err := s.prints(t, code, command, lines...); err != nil {
		t.Error(err)
	}
}

// prints is printed that returns what is wrong.
func (s *site) prints(t *testing.T, code int, command string, lines ...string) error {
	out, got := s.command(t.Context(), strings.Fields(command)...)
	if got != code {
		return wants(false, "%s: exit code %d, want %d\n%s", command, got, code, out)
	}
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(out) {
			return wants(false, "%s: no line %q in\n%s", command, line, out)
		}
	}
	return nil
}

func testCheckConfig(t *testing.T, s *site) {
	for _, name := range []string{"primary", "secondary-1", "secondary-2"} {
		role, _, _ := strings.Cut(name, "-")
		s.printed(t, 0, "check-config --config "+s.ConfigPath(name), "no faults for the role "+role)
	}
	faulty := filepath.Join(t.TempDir(), "config.toml")
	must(t, os.WriteFile(faulty, []byte(`
[host]
id = "Primary 1"
[log]
lvel = "info"
format = "xml"
[powerdns]
api_url = "http://192.0.2.1:8081"
api_key_file = "/nonexistent/key"
[nats]
urls = ["nats://127.0.0.1:4222"]
replicas = 9
[consul]
address = "http://127.0.0.1:8500"
[temporal]
address = "127.0.0.1"
[primary]
max_lag = "soon"
[sync]
min_interval = "-1s"
[surprise]
key = 1
`), 0o600))
	s.printed(t, 2, "check-config --config "+faulty,
		`host\.id: .*`, `log\.lvel: unknown key.*`, `log\.format: .*`, `powerdns\.api_url: .*`, `powerdns\.api_key_file: .*`,
		`nats\.urls: .*`, `nats\.ca_file: .*`, `nats\.replicas: .*`, `consul\.address: .*`, `consul\.token_file: .*`,
		`temporal\.address: .*`, `temporal\.ca_file: .*`, `primary\.max_lag: .*`, `sync\.min_interval: .*`, `surprise.*: unknown .*`)
	s.printed(t, 2, "primary --config "+faulty, `nats\.urls: .*`, `surprise.*: unknown .*`)
	s.printed(t, 2, "check-config --config /nonexistent/file", `/nonexistent/file: .*`)
}

func testCommandsInSync(t *testing.T, s *site) {
	until(t, soon, func() error { // Consul learns of a secondary some seconds after its start
		return s.prints(t, 0, "status", `SECONDARY +REACHABLE +ZONES +IN SYNC .*`, `secondary-1 +yes +1 +1 +0 .*`, `secondary-2 +yes +1 +1 +0 .*`)
	})
	s.printed(t, 0, "status demo.example", `demo\.example\. serial 7, 4 records, version \d+ published by primary-1 at .*`,
		`SECONDARY +REACHABLE +SERIAL +STATE +SINCE +NOTE`, `secondary-1 +yes +7 +in sync +20.*Z *`, `secondary-2 +yes +7 +in sync +20.*Z *`)
	until(t, soon, func() error { // a new Temporal knows the search attributes some seconds later; zones are served before
		return s.prints(t, 0, "resync DEMO.Example", `demo\.example\. in-sync: version \d+, serial 7, 4 records`, ` *secondary-1 in-sync serial 7`, ` *secondary-2 in-sync serial 7`)
	})
	s.printed(t, 0, "resync demo.example --secondary secondary-2", ` *secondary-2 in-sync serial 7`)
	s.printed(t, 0, "resync --all")
	s.printed(t, 0, "resync --all --secondary secondary-1", `secondary-1 in-sync: 1 zones published, 1 current, .*`)

	s.printed(t, 1, "status unknown.example", `pdns-distribute: .*unknown\.example\..* has no published version.*`)
	s.printed(t, 1, "resync unknown.example", `unknown\.example\. failed: .*`, ` *zone unknown\.example\. is not on primary primary-1 .*`,
		`pdns-distribute: 1 of 1 zones are not in sync`)
	s.printed(t, 1, "resync demo.example --secondary nobody", ` *no secondary nobody takes part.*`)
	s.printed(t, 1, "resync --all --secondary nobody", `pdns-distribute: secondary nobody: no such secondary .*`)
	for _, command := range []string{"status", "resync demo.example"} {
		s.printed(t, 2, command+" bad..name", `pdns-distribute: zone name "bad\.\.name": .*`)
	}
	s.printed(t, 2, "resync", `pdns-distribute: name zones, or give --all`)
	s.printed(t, 2, "resync --all demo.example", `pdns-distribute: name zones, or give --all`)
}

// testCommandsWithout: a secondary whose PowerDNS is away, then one whose worker is.
func testCommandsWithout(t *testing.T, s *site) {
	s.do(t, "stop", "pdns-secondary-1")
	s.printed(t, 1, "status demo.example", `secondary-1 .* unreachable .*`, `secondary-2 .* in sync .*`, `pdns-distribute: zone demo\.example\. is not in sync on 1 of 2 secondaries`)
	s.printed(t, 1, "status", `pdns-distribute: 1 of 2 secondaries are not in sync`)
	var waiting sync.WaitGroup // each waits until that secondary is given up
	for _, c := range []struct {
		code    int
		command string
		lines   []string
	}{
		{1, "resync demo.example", []string{`demo\.example\. partial: .*`, ` *secondary-1 lagging .*`, ` *secondary-2 in-sync .*`}},
		{1, "resync --all", []string{` *secondary-1 lagging .*`, `pdns-distribute: 1 of 1 zones are not in sync`}},
		{1, "resync --all --secondary secondary-1", []string{`secondary-1 failed: .*`, `pdns-distribute: secondary secondary-1 is not in sync`}},
		{0, "resync demo.example --secondary secondary-2", []string{` *secondary-2 in-sync .*`}},
	} {
		waiting.Go(func() { s.printed(t, c.code, c.command, c.lines...) })
	}
	waiting.Wait()
	s.do(t, "start", "pdns-secondary-1")
	until(t, recovered, func() error { return s.prints(t, 0, "status", `secondary-1 +yes +1 +1 .*`) })
	until(t, recovered, func() error { return s.prints(t, 0, "status demo.example", `secondary-1 +yes .* in sync .*`) })
	s.printed(t, 0, "resync demo.example", ` *secondary-1 in-sync .*`)

	// Its PowerDNS answers, with the newest version even, but nobody looks after it.
	s.do(t, "stop", "secondary-2")
	s.printed(t, 1, "status", `secondary-2 +no +1 +0 +1 +.*`, `pdns-distribute: 1 of 2 secondaries are not in sync`)
	s.printed(t, 1, "status demo.example", `secondary-1 +yes .* in sync .*`, `secondary-2 +no .* lagging .*its worker does not answer.*`)
	s.do(t, "start", "secondary-2")
	until(t, recovered, func() error { return s.prints(t, 0, "status", `secondary-2 +yes +1 +1 .*`) })

	// Without the servers, commands say so and end. Nobody is in sync of whom nobody knows whether its worker runs.
	s.do(t, "stop", "consul")
	s.printed(t, 0, "status", `Consul cannot say who is reachable: .*`, `secondary-1 +unknown +1 +1 .*`)
	s.do(t, "stop", "temporal")
	s.printed(t, 1, "status", `Consul cannot say who is reachable: .*`, `Nor can Temporal say whether the worker of secondary-1 runs: .*`, `secondary-1 +unknown +1 +0 +1 .*`)
	s.do(t, "start", "temporal")
	s.do(t, "start", "consul")
	until(t, recovered, func() error {
		return s.prints(t, 0, "status", `secondary-1 +yes +1 +1 .*`, `secondary-2 +yes +1 +1 .*`)
	})
	s.do(t, "stop", "temporal")
	// Consul calls who registers again critical for a moment.
	until(t, recovered, func() error { return s.prints(t, 0, "status demo.example", `secondary-1 .* in sync .*`) })
	s.printed(t, 1, "resync demo.example", `demo\.example\.: .*temporal\.address.*`, `pdns-distribute: 1 of 1 zones are not in sync`)
	s.do(t, "start", "temporal")
	s.do(t, "stop", "nats")
	for _, command := range []string{"status", "status demo.example", "resync demo.example", "resync --all"} { // each for as long as it tries
		waiting.Go(func() { s.printed(t, 1, command, `log in at NATS: .*: no server answers at nats\.urls`) })
	}
	waiting.Wait()
	s.do(t, "start", "nats")
	s.printed(t, 0, "resync demo.example", ` *secondary-1 in-sync .*`)
}
