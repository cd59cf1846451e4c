package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// What each command of the README's day-to-day use prints, by the words that tell it from others. The zone is there.
var readmeCommands = []struct{ words, prints string }{
	{"curl ", `^$`},
	{"pdns-distribute status demo.example", `secondary-1 +yes +\d+ +in sync`},
	{"pdns-distribute status", `secondary-1 +yes`},
	{"pdns-distribute resync demo.example", `demo\.example\. in-sync`},
	{"pdns-distribute resync --all --secondary secondary-1", `secondary-1 in-sync`},
	{"pdns-distribute resync --all", ``},
	{"temporal workflow start .*--type SyncZone", `sync-zone/demo\.example\.`},
	{"temporal workflow signal", `Signal workflow succeeded`},
	{"temporal workflow query .*--type status", `"zone":\s*"demo\.example\."`},
	{"temporal workflow list .*Zone = ", `sync-zone/demo\.example\. +SyncZone|SyncZone +sync-zone/demo\.example\.`},
	{"temporal workflow list .*Outcome = ", ``},
	{"temporal workflow describe", `(?s)sync-zone/demo\.example\..*SyncZone`},
	{"tctl .*workflow start .*SyncZone", `sync-zone/demo\.example\.`},
	{"tctl .*workflow start .*ReconcileSecondary", `reconcile-secondary/secondary-1`},
	{"tctl .*workflow signal", `Signal workflow succeeded`},
	{"tctl .*workflow query", `"?zone"?:"?demo\.example\.`},
	{"tctl .*workflow list", `(?i)workflow type`},
	{"tctl .*workflow describe", `sync-zone/demo\.example\.`},
}

// testReadme runs every command of the README's "Day-to-day use" as it stands there, in a shell that has read DIR/env.
func testReadme(t *testing.T, s *site) {
	const zone = "demo.example."
	used := map[string]bool{}
	for _, block := range shellBlocks(t, "Day-to-day use") {
		setup := ". " + s.EnvPath() + "\n"
		for _, command := range shellCommands(block) {
			if regexp.MustCompile(`^\w+=`).MatchString(command) {
				setup += command + "\n"
				continue
			}
			plain := strings.NewReplacer("$PDNS_DISTRIBUTE_BIN", "pdns-distribute", "$STACK_TOOLS/", "", "\\\n", " ").Replace(command)
			known := false
			for _, c := range readmeCommands {
				if known = regexp.MustCompile("^" + c.words).MatchString(plain); known {
					used[c.words] = true
					until(t, soon, func() error { return s.shell(t, setup+command, regexp.MustCompile(c.prints)) })
					break
				}
			}
			if !known {
				t.Errorf("the README has a command that this test does not know: %s", command)
			}
		}
	}
	for _, c := range readmeCommands {
		if !used[c.words] {
			t.Errorf("the README has no command %q any more", c.words)
		}
	}
	must(t, hasAnswer(t.Context(), "www."+zone, dns.TypeA, []string{"198.51.100.7"}, s.secondaries...))
}

// shell returns nil when the script succeeds and its output matches.
func (s *site) shell(t *testing.T, script string, output *regexp.Regexp) error {
	cmd := exec.CommandContext(t.Context(), "bash", "-euc", script)
	cmd.Dir = s.Dir()
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil || !output.Match(out) {
		return wants(false, "%s\nended with %v and printed\n%s%s\nwant it to match %q", script, err, out, errs.String(), output)
	}
	return nil
}

// shellBlocks returns the fenced shell blocks of one section of the README.
func shellBlocks(t *testing.T, section string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	must(t, err)
	_, rest, found := strings.Cut(string(text), "\n## "+section+"\n")
	if !found {
		t.Fatalf("the README has no section %q", section)
	}
	rest, _, _ = strings.Cut(rest, "\n## ")
	var blocks []string
	for _, m := range regexp.MustCompile("(?ms)^```sh\n(.*?)^```$").FindAllStringSubmatch(rest, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// shellCommands splits a script at the ends of its commands: lines that end with a backslash, or within quotes, go on.
func shellCommands(script string) []string {
	var commands []string
	command := ""
	for line := range strings.Lines(script) {
		command += line
		if strings.HasSuffix(line, "\\\n") || strings.Count(command, `"`)%2 == 1 || strings.Count(command, `'`)%2 == 1 {
			continue
		}
		if command = strings.TrimSpace(command); command != "" && !strings.HasPrefix(command, "#") {
			commands = append(commands, command)
		}
		command = ""
	}
	return commands
}
