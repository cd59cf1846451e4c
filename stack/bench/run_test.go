package bench

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// A whole run at the least size, with the comparison with an earlier one.
func TestRun(t *testing.T) {
	if os.Getenv("STACK_BIN") == "" {
		t.Fatal("STACK_BIN is not set: run `make test`, or build it with stack/setup.sh test and set it to bin/stack")
	}
	baselines := t.TempDir()
	earlier := &Result{Rows: []Row{{What: oneChange, Unit: "ms", Product: &Figures{P50: 1000}, Floor: &Figures{P50: 1}}}}
	if err := earlier.write(filepath.Join(baselines, "2001-01-01T0000.json")); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "bench") //nolint:usetesting // a shorter path: that of a Unix socket has at most 107 octets
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var out, progress strings.Builder
	err = Run(t.Context(), Options{
		Dir: dir, Scenarios: []string{"change", "trace", "burst", "records", "import", "soak", "delete"}, Changes: 4, Native: 1, Burst: 5,
		Zones: []int{4, 8}, NativeZones: 2, Deletes: 8, Records: []int{100}, Signed: []int{100}, Soak: 3 * time.Second,
		Baselines: baselines, Record: true,
		Out: &out, Progress: &progress,
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, progress.String())
	}
	data, err := os.ReadFile(filepath.Join(dir, "result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var result Result
	if err := json.Unmarshal(data, &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Rows) < 15 || len(result.Peaks) == 0 || result.Versions["powerdns"] == "" || result.Machine.Cores == 0 {
		t.Errorf("incomplete: %s", data)
	}
	for _, row := range result.Rows {
		if row.Unit != "exports" && !strings.HasSuffix(row.What, "traced") && !strings.HasPrefix(row.What, "one change in a soak") && (row.Product == nil || row.Floor == nil || row.toFloor() <= 0) {
			t.Errorf("no ratio to the floor: %+v", row)
		}
	}
	for _, want := range []hop{
		{"primary-1", firstHop}, {"primary-1", "export publish"}, {"primary-1", "RunWorkflow:SyncZone"}, {"primary-1", "RunActivity:VerifyZone"},
		{"secondary-1", "apply serve"}, {"secondary-2", "RunActivity:ApplyZone"}, {"secondary-2", answerSeen},
	} {
		at := slices.IndexFunc(result.Hops, func(h Hop) bool { return h.Process == want.process && h.Name == want.name })
		if at < 0 || result.Hops[at].Took.N != 4 {
			t.Errorf("%+v is not a hop of each traced change: %+v", want, result.Hops)
		}
	}
	for _, process := range []string{"primary", "secondary-1", "pdns-secondary-2", "nats"} {
		at := slices.IndexFunc(result.Memory, func(m Memory) bool { return m.Process == process })
		if at < 0 || len(result.Memory[at].MiB) != memorySamples || slices.Min(result.Memory[at].MiB) < 1 {
			t.Errorf("memory of %s: %+v", process, result.Memory)
		}
	}
	for _, want := range []string{"one change", "× floor", "2001-01-01T0000.json", "better by"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	if recorded, err := committed(baselines); err != nil || len(recorded) != len(result.Rows) {
		t.Errorf("recorded for the next comparison: %+v, %v", recorded, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "system")); !os.IsNotExist(err) {
		t.Errorf("the system's folder stays: %v", err)
	}
}
