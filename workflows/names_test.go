package workflows

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

var update = flag.Bool("update", false, "write testdata/names.golden anew")

// registered are all workflows by their registered names.
var registered = map[string]any{
	SyncZoneType: SyncZone, SyncZonesType: SyncZones, ReconcileSecondaryType: ReconcileSecondary,
	CheckHealthType: CheckHealth, ScanPrimaryType: ScanPrimary, HoldChangeType: HoldChange,
	CheckSignaturesType: CheckSignatures, CheckContentType: CheckContent, EnforceNSEC3Type: EnforceNSEC3,
}

// TestRegisteredNames pins the wire contract: people and scripts use these
// names, and histories in flight hold them.
func TestRegisteredNames(t *testing.T) {
	var lines []string
	add := func(kind, name string) { lines = append(lines, kind+" "+name) }
	for name, workflow := range registered {
		full := runtime.FuncForPC(reflect.ValueOf(workflow).Pointer()).Name()
		require.Equal(t, name, full[strings.LastIndex(full, ".")+1:])
		add("workflow", name)
	}
	for _, holder := range []any{primary, directory, verifier, secondary, checks, scanner, surveyor, denial} {
		methods := reflect.TypeOf(holder)
		for i := range methods.NumMethod() {
			add("activity", methods.Method(i).Name)
		}
	}
	add("signal", SignalZoneChanged)
	add("signal", SignalReconcile)
	add("signal", SignalCheck)
	add("signal", SignalHeld)
	add("signal", SignalApprove)
	add("signal", SignalReject)
	add("query", QueryStatus)
	add("update", UpdateSync)
	add("task-queue", WorkflowQueue)
	add("task-queue", PrimaryQueue)
	add("task-queue", PrimaryHostQueue("<id>"))
	add("task-queue", SecondaryHostQueue("<id>"))
	add("workflow-id", SyncZoneID("<zone>"))
	add("workflow-id", SyncZonesID("<batch>"))
	add("workflow-id", ReconcileSecondaryID("<id>"))
	for _, check := range Checks {
		add("workflow-id", check.ID)
	}
	add("workflow-id", HoldChangeID("<hold>"))
	for _, name := range []string{AttributeZone, AttributeSecondary, AttributeTrigger, AttributeOutcome} {
		add("search-attribute", name)
	}
	for _, name := range []string{
		activities.ErrTypeBadInput, activities.ErrTypeCannotHold, activities.ErrTypeNewerApplied,
		activities.ErrTypePaused, activities.ErrTypeRefused, activities.ErrTypeRunFailed,
	} {
		add("error-type", name)
	}
	slices.Sort(lines)
	got := fmt.Sprintln(strings.Join(lines, "\n"))
	golden := filepath.Join("testdata", "names.golden")
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}
