package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// shownCommand is a command that the README or the demo shows: the words that tell it from those after it, and what it prints.
type shownCommand struct {
	words, prints string
	// code is its exit code; where that is not 0, what it prints to standard error counts too.
	code int
	// before makes what it is about and returns what stands for the "…" in it, after looks at what it has done.
	before func() string
	after  func()
}

// readmeDaily are those of the day-to-day use. The zone is there.
var readmeDaily = []shownCommand{
	{words: "curl ", prints: `^$`},
	{words: "pdns-distribute status demo.example", prints: `secondary-1 +yes +\d+ +in sync`},
	{words: "pdns-distribute status", prints: `secondary-1 +yes`},
	{words: "pdns-distribute resync demo.example", prints: `demo\.example\. in-sync`},
	{words: "pdns-distribute resync --all --secondary secondary-1", prints: `secondary-1 in-sync`},
	{words: "pdns-distribute resync --all", prints: ``},
	{words: "temporal workflow start .*--type SyncZone", prints: `sync-zone/demo\.example\.`},
	{words: "temporal workflow signal", prints: `Signal workflow succeeded`},
	{words: "temporal workflow query .*--type status", prints: `"zone":\s*"demo\.example\."`},
	{words: "temporal workflow list .*Zone = ", prints: `sync-zone/demo\.example\. +SyncZone|SyncZone +sync-zone/demo\.example\.`},
	{words: "temporal workflow list .*Outcome = ", prints: ``},
	{words: "temporal workflow describe", prints: `(?s)sync-zone/demo\.example\..*SyncZone`},
	{words: "tctl .*workflow start .*SyncZone", prints: `sync-zone/demo\.example\.`},
	{words: "tctl .*workflow start .*ReconcileSecondary", prints: `reconcile-secondary/secondary-1`},
	{words: "tctl .*workflow signal", prints: `Signal workflow succeeded`},
	{words: "tctl .*workflow query", prints: `"?zone"?:"?demo\.example\.`},
	{words: "tctl .*workflow list", prints: `(?i)workflow type`},
	{words: "tctl .*workflow describe", prints: `sync-zone/demo\.example\.`},
}

// testReadme runs every command of the README's "Day-to-day use" as it stands there, in a shell that has read DIR/env.
func testReadme(t *testing.T, s *site) {
	commands := slices.Clone(readmeDaily)
	for i := range commands {
		if strings.Contains(commands[i].words, "workflow signal") { // to a sync that is under way
			commands[i].before = func() string {
				s.proxy.patch(t, "demo.example.", set("signalled.demo.example.", "TXT", fmt.Sprintf(`"%d"`, i)))
				return ""
			}
		}
	}
	s.runReadme(t, "Day-to-day use", commands)
	must(t, hasAnswer(t.Context(), "www.demo.example.", dns.TypeA, []string{"198.51.100.7"}, s.secondaries...))
}

// testReadmeChecks does so with those about checks, holds and secondaries. The zone is the only one.
func testReadmeChecks(t *testing.T, s *site) {
	const zone, theirs = "demo.example.", "theirs.example."
	in := func(serial uint32, zone string) {
		until(t, soon, func() error { return servesSerial(t.Context(), zone, serial, s.secondaries...) })
	}
	gone := func(zone string) {
		until(t, soon, func() error { return notServed(t.Context(), zone, s.secondaries...) })
	}
	hold := func() (digest string) { // no zone is left
		s.direct.delete(t, zone)
		s.program(t, "zone.delete", zone)
		until(t, soon, func() error { return s.prints(t, 0, "status", `held deletes: 1 held since .*`) })
		return s.digestOf(t, "deletes")
	}
	decided := func() {
		gone(zone)
		s.proxy.create(t, zone, 7, set("www."+zone, "A", "192.0.2.1"))
		in(7, zone)
	}
	checks := func() float64 {
		return s.metric(t, `pdnsdist_check_runs_total{check="health-check",outcome="in-sync"}`)
	}
	ended := 0.0
	s.runReadme(t, "Checks, holds, and secondaries that come and go", []shownCommand{
		{words: "pdns-distribute check --content --signatures", prints: `(?s)health check in-sync.*content check in-sync.*signature check in-sync`},
		{words: "pdns-distribute check", prints: `health check in-sync`},
		{words: "pdns-distribute status --holds", prints: `deletes demo\.example\. .*undecided`, before: hold},
		{words: "pdns-distribute approve deletes", prints: `approved deletes: 1 changes`, after: decided},
		{words: "pdns-distribute pause secondary-2", prints: `secondary-2 is paused`},
		{words: "pdns-distribute resume secondary-2", prints: `(?s)secondary-2 is resumed.*secondary-2 in-sync`},
		{words: "pdns-distribute forget secondary-9", prints: `secondary secondary-9: no such secondary`, code: 1},
		{
			words: "pdns-distribute adopt --all", prints: `secondary-1 in-sync: .* 1 adopted`,
			before: func() string {
				s.secondaries[0].create(t, theirs, 4_000_000_000)
				s.proxy.create(t, theirs, 1)
				until(t, soon, func() error { return servesSerial(t.Context(), theirs, 1, s.secondaries[1]) })
				must(t, servesSerial(t.Context(), theirs, 4_000_000_000, s.secondaries[0]))
				return ""
			},
			after: func() {
				in(1, theirs)
				s.proxy.delete(t, theirs)
				gone(theirs)
			},
		},
		{
			words: "temporal schedule trigger", prints: `(?i)trigger request sent`,
			before: func() string { ended = checks(); return "" },
			after: func() {
				until(t, soon, func() error { return wants(checks() > ended, "no check has ended") })
			},
		},
		{words: "temporal workflow signal -w held/deletes", prints: `Signal workflow succeeded`, before: hold, after: decided},
	})
	// What was deleted is not counted.
	until(t, soon, func() error {
		return s.prints(t, 0, "status", `secondary-1 +yes +1 +1 .*`, `secondary-2 +yes +1 +1 .*`)
	})
}

// runReadme runs every command of one section of the README as it stands there.
func (s *site) runReadme(t *testing.T, section string, commands []shownCommand) {
	t.Helper()
	s.runShown(t, "the README", shellBlocks(t, section), commands)
}

// runShown runs every command of these blocks as it stands there, in a shell that has read DIR/env.
func (s *site) runShown(t *testing.T, where string, blocks []string, commands []shownCommand) {
	t.Helper()
	used := map[string]bool{}
	for _, block := range blocks {
		setup := ". " + s.EnvPath() + "\nPATH=$STACK_TOOLS:$PATH\n"
		for _, command := range shellCommands(block) {
			if regexp.MustCompile(`^\w+=`).MatchString(command) {
				setup += command + "\n"
				continue
			}
			plain := strings.NewReplacer("$PDNS_DISTRIBUTE_BIN", "pdns-distribute", "$STACK_TOOLS/", "", "\\\n", " ").Replace(command)
			i := slices.IndexFunc(commands, func(c shownCommand) bool { return regexp.MustCompile("^" + c.words).MatchString(plain) })
			if i < 0 {
				t.Errorf("%s has a command that this test does not know: %s", where, command)
				continue
			}
			c := commands[i]
			used[c.words] = true
			if c.before != nil {
				command = strings.ReplaceAll(command, "…", c.before())
			}
			if c.code != 0 {
				command = fmt.Sprintf("(\n%s\n) 2>&1 || [ $? = %d ]", command, c.code)
			}
			until(t, soon, func() error { return s.shell(t, setup+command, regexp.MustCompile(c.prints)) })
			if c.after != nil {
				c.after()
			}
		}
	}
	for _, c := range commands {
		if !used[c.words] {
			t.Errorf("%s has no command %q any more", where, c.words)
		}
	}
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

// shellBlocks returns the fenced shell blocks of one section of the README, and Temporal's commands in its text.
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
	fenced := regexp.MustCompile("(?ms)^```sh\n(.*?)^```$")
	for _, m := range fenced.FindAllStringSubmatch(rest, -1) {
		blocks = append(blocks, m[1])
	}
	for _, m := range regexp.MustCompile("`((?:temporal|tctl) [^`]+)`").FindAllStringSubmatch(fenced.ReplaceAllString(rest, ""), -1) {
		blocks = append(blocks, strings.ReplaceAll(m[1], "\n", " "))
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
