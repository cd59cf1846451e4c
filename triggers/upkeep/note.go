package upkeep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/google/renameio/v2"
)

// note keeps what was made on disk, as soon as it is made and until it is settled
// whether it had been lost, and what follows has been done. All is there again then: a
// process that comes after this one would see nothing of the loss.
type note struct {
	// path is its file; empty keeps nothing.
	path string

	mu   sync.Mutex
	what []string
	// unwritten says that the file has something else.
	unwritten bool
	// early is what was made between the passes.
	early []string
}

// recall returns what an earlier process has left.
func (n *note) recall() ([]string, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	data, err := os.ReadFile(n.path)
	if n.path == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var left []string
	if err == nil {
		err = json.Unmarshal(data, &left)
	}
	if err != nil {
		left, err = []string{"something"}, fmt.Errorf("read the note of what was lost: %w", err)
	}
	n.what = left
	return left, err
}

// add notes what was made.
func (n *note) add(made []string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.put(made)
}

// addEarly is add for what the next pass takes.
func (n *note) addEarly(made []string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.early = append(n.early, made...)
	return n.put(made)
}

func (n *note) takeEarly() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	early := n.early
	n.early = nil
	return early
}

// settle empties the note, unless something in it is pending or was made since the pass.
// It writes what could not be written before.
func (n *note) settle(pending bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !pending && len(n.early) == 0 && len(n.what) > 0 {
		n.what, n.unwritten = nil, true
	}
	return n.write()
}

func (n *note) put(made []string) error {
	before := len(n.what)
	n.what = slices.Compact(slices.Sorted(slices.Values(slices.Concat(n.what, made))))
	n.unwritten = n.unwritten || len(n.what) > before
	return n.write()
}

func (n *note) write() error {
	if n.path == "" || !n.unwritten {
		return nil
	}
	var err error
	if len(n.what) == 0 {
		if err = os.Remove(n.path); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	} else {
		err = n.replace()
	}
	if err != nil {
		return fmt.Errorf("note what was lost: %w", err)
	}
	n.unwritten = false
	return nil
}

// replace writes the file, in a folder that nothing else makes where there is no
// api-proxy and no worker.
func (n *note) replace() error {
	data, err := json.Marshal(n.what)
	if err != nil {
		return err
	}
	dir := filepath.Dir(n.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return renameio.WriteFile(n.path, data, 0o600, renameio.WithTempDir(dir))
}
