package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// record writes the history of a workflow's newest run that has ended for the replay test (workflows/testdata/histories), where
// RECORD_HISTORIES is set.
func (s *site) record(t testing.TB, id, name string) {
	t.Helper()
	if os.Getenv("RECORD_HISTORIES") == "" {
		return
	}
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	must(t, c.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))
	var all history.History
	for events := c.GetWorkflowHistory(t.Context(), id, "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		must(t, err)
		all.Events = append(all.Events, event)
	}
	data, err := protojson.Marshal(&all)
	must(t, err)
	must(t, os.WriteFile(filepath.Join("..", "..", "workflows", "testdata", "histories", name+".json"), data, 0o600))
}
