package upkeep

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
)

// owed is a file with what was lost and nobody has taken yet; empty keeps nothing. All
// is made again at once, so that the next process, where this one is killed, sees
// nothing of the loss.
type owed string

// read returns what an earlier process has left.
func (o owed) read() (what []string, err error) {
	data, err := os.ReadFile(string(o))
	if o == "" || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &what)
	}
	if err != nil {
		return nil, fmt.Errorf("read the note of what was lost: %w", err)
	}
	return what, nil
}

// write notes what is owed now in place of what was.
func (o owed) write(what []string) error {
	if o == "" {
		return nil
	}
	data, err := json.Marshal(what)
	if err == nil && len(what) > 0 {
		err = renameio.WriteFile(string(o), data, 0o600, renameio.WithTempDir(filepath.Dir(string(o))))
	} else if err == nil {
		err = os.Remove(string(o))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("note what was lost: %w", err)
	}
	return nil
}
