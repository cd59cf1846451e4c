package pdns

import (
	"fmt"
	"slices"
	"strings"
)

// Selection says which of a primary's zones are distributed.
type Selection struct {
	// Include and Exclude are canonical zone names; each stands for itself and
	// for all zones below it. Empty Include means every zone; where both name a
	// zone, the longer name wins, and Exclude at an equal one.
	Include, Exclude []string
	// Accounts are the accounts whose zones are distributed; empty means all.
	Accounts []string
	// Kinds are the kinds of zones that are distributed; empty means Native and
	// Master. Secondary zones on a primary belong to somebody else; catalogue
	// zones (Producer, Consumer) are PowerDNS's own way of distributing.
	Kinds []string
}

// defaultKinds are distributed unless others are named.
var defaultKinds = []string{"Native", "Master"}

// LeavesOut says why a zone is not distributed, with an empty string that it is.
func (s Selection) LeavesOut(zone, kind, account string) string {
	kinds := s.Kinds
	if len(kinds) == 0 {
		kinds = defaultKinds
	}
	included, excluded := longestSuffix(s.Include, zone), longestSuffix(s.Exclude, zone)
	switch {
	case !slices.ContainsFunc(kinds, func(k string) bool { return SameKind(k, kind) }):
		return fmt.Sprintf("it is of kind %s, and zones.kinds names %s", kind, strings.Join(kinds, ", "))
	case len(s.Accounts) > 0 && !slices.Contains(s.Accounts, account):
		return fmt.Sprintf("it is of account %q, which zones.accounts does not name", account)
	case len(s.Include) > 0 && included == 0:
		return "zones.include does not name it"
	case excluded > 0 && excluded >= included:
		return "zones.exclude names it"
	}
	return ""
}

// SameKind compares kinds of zones, which have two names each since PowerDNS 4.5.
func SameKind(a, b string) bool { return kindName(a) == kindName(b) }

func kindName(kind string) string {
	switch kind = strings.ToLower(kind); kind {
	case "primary":
		return "master"
	case "secondary":
		return "slave"
	}
	return kind
}

// longestSuffix is how long the longest of names is that is zone or above it, 0
// where none is. All are canonical.
func longestSuffix(names []string, zone string) int {
	longest := 0
	for _, name := range names {
		if name == "." || name == zone || strings.HasSuffix(zone, "."+name) && !strings.HasSuffix(zone, `\.`+name) {
			longest = max(longest, len(name))
		}
	}
	return longest
}
