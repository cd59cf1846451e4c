package e2e

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
)

// testSecretsStayHidden looks for every secret of the system where it must not be: in lists of processes, logs, workflow
// histories, and what NATS, Temporal and the product keep.
func testSecretsStayHidden(t *testing.T, s *site) {
	secrets := s.secrets(t)
	clean := func(where string, data []byte) {
		for name, secret := range secrets {
			if bytes.Contains(data, secret) {
				t.Errorf("%s holds the secret %s", where, name)
			}
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(t, err)
	ours := 0
	for _, file := range commands {
		data, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if bytes.Contains(data, []byte(s.Dir())) {
			ours++
		}
		clean(file, data)
	}
	if ours < 6 {
		t.Errorf("only %d processes of the system were seen", ours)
	}
	files, logged := s.files(t, "log"), 0
	for _, kept := range []string{"nats", "temporal.db", "temporal.db-wal", "primary", "secondary-1", "secondary-2"} {
		files = append(files, s.files(t, "data", kept)...)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		must(t, err)
		logged += bytes.Count(data, []byte("primary-1"))
		clean(file, data)
	}
	events, seen := s.histories(t)
	clean("the workflows' histories", events)
	t.Logf("%d secrets looked for in %d processes, %d files and %d workflow histories of %d bytes", len(secrets), len(commands), len(files), seen, len(events))
	if logged == 0 || !bytes.Contains(events, []byte("primary-1")) {
		t.Error("not even the primary's name was found: this looked in the wrong places")
	}
}

// secrets are the files of secrets and the private keys, by name.
func (s *site) secrets(t *testing.T) map[string][]byte {
	t.Helper()
	found := map[string][]byte{}
	for _, file := range s.files(t, "secrets") {
		data, err := os.ReadFile(file)
		must(t, err)
		if data = bytes.TrimSpace(data); len(data) >= 16 {
			found[filepath.Base(file)] = data
		}
	}
	for _, file := range s.files(t, "pki") {
		if !strings.HasSuffix(file, ".key") {
			continue
		}
		data, err := os.ReadFile(file)
		must(t, err)
		lines := bytes.Split(data, []byte("\n"))
		if len(lines) < 3 {
			t.Fatalf("%s is no key", file)
		}
		found[filepath.Base(file)] = lines[2] // the first line after the header may be the same in all keys of a kind
	}
	if len(found) < 10 {
		t.Fatalf("only %d secrets found", len(found))
	}
	return found
}

func (s *site) files(t *testing.T, parts ...string) []string {
	t.Helper()
	var files []string
	root := filepath.Join(append([]string{s.Dir()}, parts...)...)
	must(t, filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // NATS and SQLite remove files
		}
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	}))
	if len(files) == 0 {
		t.Fatalf("nothing in %s", root)
	}
	return files
}

// histories returns all that the histories of a hundred workflows hold.
func (s *site) histories(t *testing.T) (events []byte, workflows int) {
	t.Helper()
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	list, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{PageSize: 100})
	must(t, err)
	for _, info := range list.Executions {
		history := c.GetWorkflowHistory(t.Context(), info.Execution.WorkflowId, info.Execution.RunId, false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		for history.HasNext() {
			event, err := history.Next()
			must(t, err)
			data, err := event.Marshal()
			must(t, err)
			events = append(events, data...)
		}
	}
	return events, len(list.Executions)
}
