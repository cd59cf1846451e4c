// Package archtest holds the import rules: data moves from cmd through triggers,
// workflows and activities to pdns and never turns back.
package archtest

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/pdns-distribute/pdns-distribute"

// rule says what a package may import of this module, without its tests. A
// pattern that ends in /... stands for all packages below, and for the folder
// itself where it is one.
type rule struct {
	pkg string
	may []string
	// never names what the package must not import of the standard library or of
	// other modules.
	never []string
}

// rules: the first one that fits a package is its rule.
var rules = []rule{
	{pkg: "cmd/...", may: []string{"..."}},

	{pkg: "triggers/dispatch", may: []string{"workflows", "pdns", "internal/..."}},
	{pkg: "triggers/...", may: []string{"triggers/dispatch", "workflows", "pdns", "internal/..."}},

	{pkg: "workflows", may: []string{"activities", "pdns"}, never: []string{"net", "net/http", "os", "os/exec", "log", "log/slog", "math/rand", "math/rand/v2"}},
	{pkg: "activities", may: []string{"pdns", "pdns/...", "internal/trace"}},
	{pkg: "worker", may: []string{"workflows", "activities", "internal/outage"}},

	// A probe is made of the two ways to ask a PowerDNS.
	{pkg: "pdns/probe", may: []string{"pdns", "pdns/api", "pdns/query"}},
	{pkg: "pdns", never: []string{"net", "net/http", "os", "os/exec", "log", "log/slog", "context"}},
	{pkg: "pdns/...", may: []string{"pdns"}},

	{pkg: "internal/...", may: []string{"pdns", "internal/..."}},
}

// onlyForTests are packages that nothing but tests, and each other, may import.
var onlyForTests = []string{"internal/archtest", "internal/stacktest", "internal/eventually", "internal/broker/brokertest", "internal/trace/tracetest", "pdns/pdnstest"}

// onlyModule is the one other module that pdns may import.
const onlyModule = "github.com/miekg/dns"

type goPackage struct {
	ImportPath string
	Imports    []string
}

func (p goPackage) name() string { return strings.TrimPrefix(p.ImportPath, module+"/") }

func TestImportRules(t *testing.T) {
	for _, p := range packages(t) {
		at := slices.IndexFunc(rules, func(r rule) bool { return matches(r.pkg, p.name()) })
		if at < 0 {
			t.Errorf("no rule says what %s may import: add it to its place in the layout, or here", p.name())
			continue
		}
		rule := rules[at]
		for _, imported := range p.Imports {
			own, ours := strings.CutPrefix(imported, module+"/")
			switch {
			case !ours && slices.Contains(rule.never, imported):
				t.Errorf("%s imports %s, which it must not", p.name(), imported)
			case p.name() == "pdns" && !ours && strings.Contains(imported, ".") && imported != onlyModule:
				t.Errorf("pdns imports %s, which is neither the standard library nor %s", imported, onlyModule)
			case ours && slices.Contains(onlyForTests, own) && !slices.Contains(onlyForTests, p.name()):
				t.Errorf("%s imports %s, which is for tests only", p.name(), own)
			case ours && !slices.ContainsFunc(rule.may, func(pattern string) bool { return matches(pattern, own) }):
				t.Errorf("%s imports %s; it may import %v only", p.name(), own, rule.may)
			}
		}
	}
}

// TestRulesNameWhatExists fails when a package that a rule names has vanished: the
// rule would hold nothing any more.
func TestRulesNameWhatExists(t *testing.T) {
	all := packages(t)
	exists := func(pattern string) bool {
		return slices.ContainsFunc(all, func(p goPackage) bool { return matches(pattern, p.name()) })
	}
	for _, rule := range rules {
		for _, pattern := range append([]string{rule.pkg}, rule.may...) {
			if !exists(pattern) {
				t.Errorf("the rule for %s names %s, which does not exist", rule.pkg, pattern)
			}
		}
	}
	for _, pkg := range onlyForTests {
		if !exists(pkg) {
			t.Errorf("%s is named as for tests only and does not exist", pkg)
		}
	}
}

func TestMatches(t *testing.T) {
	for _, test := range []struct {
		pattern, pkg string
		want         bool
	}{
		{"...", "pdns", true},
		{"pdns", "pdns", true},
		{"pdns", "pdns/api", false},
		{"pdns/...", "pdns/api", true},
		{"pdns/...", "pdnsx", false},
		{"triggers/dispatch", "triggers/proxy", false},
	} {
		if got := matches(test.pattern, test.pkg); got != test.want {
			t.Errorf("matches(%s, %s) = %t", test.pattern, test.pkg, got)
		}
	}
}

func matches(pattern, pkg string) bool {
	if pattern == "..." || pattern == pkg {
		return true
	}
	folder, below := strings.CutSuffix(pattern, "/...")
	return below && (pkg == folder || strings.HasPrefix(pkg, folder+"/"))
}

// packages lists the module's packages and what they import.
func packages(t *testing.T) []goPackage {
	t.Helper()
	lookAtSources(t)
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports", path.Join(module, "..."))
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if len(all) < 20 {
		t.Fatalf("go list found %d packages only", len(all))
	}
	return all
}

// lookAtSources looks at every source file, so that go test knows that a stored
// result is void when one has changed: it does not see what go list reads.
func lookAtSources(t *testing.T) {
	t.Helper()
	for _, folder := range []string{"activities", "cmd", "internal", "pdns", "triggers", "worker", "workflows"} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(file string, _ fs.DirEntry, err error) error {
			if err != nil || filepath.Ext(file) != ".go" {
				return err
			}
			_, err = os.Stat(file)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
