package workflows

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"
)

// TestReplay runs recorded histories against today's code: a workflow in
// flight must survive an upgrade. They are recorded by the worker's test with
// RECORD_HISTORIES=1 (see CONTRIBUTING.md).
func TestReplay(t *testing.T) {
	histories, err := filepath.Glob("testdata/histories/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, histories, "no recorded history")
	replayer := worker.NewWorkflowReplayer()
	replayer.RegisterWorkflow(SyncZone)
	replayer.RegisterWorkflow(SyncZones)
	replayer.RegisterWorkflow(ReconcileSecondary)
	replayer.RegisterWorkflow(CheckHealth)
	replayer.RegisterWorkflow(ScanPrimary)
	replayer.RegisterWorkflow(HoldChange)
	replayer.RegisterWorkflow(CheckSignatures)
	replayer.RegisterWorkflow(CheckContent)
	replayer.RegisterWorkflow(EnforceNSEC3)
	for _, history := range histories {
		t.Run(filepath.Base(history), func(t *testing.T) {
			require.NoError(t, replayer.ReplayWorkflowHistoryFromJSONFile(nil, history))
		})
	}
}
