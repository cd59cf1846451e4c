package upkeep

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What could not be written is written later, and what cannot be read is owed too.
func TestANoteThatCannotBeKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(dir, nil, 0o600); err != nil { // in the way of the folder
		t.Fatal(err)
	}
	path := filepath.Join(dir, "owed.json")
	n := note{path: path}
	if err := n.add([]string{"streams"}); err == nil {
		t.Error("it was written")
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if err := n.settle(true); err != nil {
		t.Error(err)
	}
	if left, err := (&note{path: path}).recall(); err != nil || !slices.Equal(left, []string{"streams"}) {
		t.Errorf("left are %v (%v)", left, err)
	}
	if err := os.WriteFile(path, []byte("["), 0o600); err != nil {
		t.Fatal(err)
	}
	next := note{path: path}
	if left, err := next.recall(); err == nil || len(left) != 1 {
		t.Errorf("left are %v (%v)", left, err)
	}
	if err := next.settle(false); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Error("it is still there:", err)
	}
}
