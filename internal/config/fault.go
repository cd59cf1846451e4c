package config

import (
	"fmt"
	"slices"
	"strings"
)

// Fault is one thing wrong with the configuration.
type Fault struct {
	// Key is section.key, or the section, or the file itself.
	Key string
	// Problem says what is wrong and what is expected. It never holds a secret.
	Problem string
}

// String is one line: key and problem.
func (f Fault) String() string { return f.Key + ": " + f.Problem }

// Faults is everything wrong with the configuration, in the order of the reference.
// It is the error of [Load].
type Faults []Fault

// Error has one fault a line.
func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return strings.Join(lines, "\n")
}

// faultList collects faults, the first one a key: what follows from a bad
// value is not worth a line of its own.
type faultList struct{ found Faults }

func (l *faultList) add(key, format string, args ...any) {
	if !l.has(key) {
		l.found = append(l.found, Fault{Key: key, Problem: fmt.Sprintf(format, args...)})
	}
}

func (l *faultList) has(key string) bool {
	return slices.ContainsFunc(l.found, func(f Fault) bool { return f.Key == key })
}

// sorted returns the faults with known keys in the order of order, all others
// before them by name.
func (l *faultList) sorted(order []string) Faults {
	slices.SortStableFunc(l.found, func(a, b Fault) int {
		i, j := slices.Index(order, a.Key), slices.Index(order, b.Key)
		if i < 0 && j < 0 {
			return strings.Compare(a.Key, b.Key)
		}
		return i - j
	})
	return l.found
}
