package workflows

import (
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

// TestReplay runs recorded histories against today's code: a workflow in
// flight must survive an upgrade. They are recorded by the worker's test with
// RECORD_HISTORIES=1 (see CONTRIBUTING.md); the large ones, of a check that went on
// as new, come from stack/scale.sh.
func TestReplay(t *testing.T) {
	histories, err := filepath.Glob("testdata/histories/*.json*")
	require.NoError(t, err)
	require.NotEmpty(t, histories, "no recorded history")
	replayer := worker.NewWorkflowReplayer()
	for _, workflow := range registered {
		replayer.RegisterWorkflow(workflow)
	}
	seen := make(map[string]bool)
	defer func() {
		for kind := range registered {
			require.True(t, seen[kind], "no history of %s is recorded", kind)
		}
	}()
	for _, history := range histories {
		t.Run(filepath.Base(history), func(t *testing.T) {
			file, err := os.Open(history)
			require.NoError(t, err)
			defer file.Close()
			var data io.Reader = file
			if filepath.Ext(history) == ".gz" {
				data, err = gzip.NewReader(file)
				require.NoError(t, err)
			}
			recorded, err := client.HistoryFromJSON(data, client.HistoryJSONOptions{})
			require.NoError(t, err)
			started := recorded.GetEvents()[0].GetWorkflowExecutionStartedEventAttributes()
			// What a check does hangs on its ID, and the names of its syncs on the run's.
			original := workflow.Execution{ID: started.GetWorkflowId(), RunID: started.GetOriginalExecutionRunId()}
			require.NotEmpty(t, original.ID)
			seen[started.GetWorkflowType().GetName()] = true
			require.NoError(t, replayer.ReplayWorkflowHistoryWithOptions(nil, recorded, worker.ReplayWorkflowHistoryOptions{OriginalExecution: original}))
		})
	}
}
