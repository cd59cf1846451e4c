package e2e

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// The worker of the health check dies at each of its steps and of the steps of its repairs, and that of a secondary with it
// where the step is a secondary's: the check ends right, and what was wrong is right. How many steps there are, a run without faults tells. Two systems share them, since most of the time
// goes into waiting until Temporal takes the worker for dead.
func TestCheckWorkerKilledAtOddSteps(t *testing.T)  { testCheckWorkerKilled(t, 1) }
func TestCheckWorkerKilledAtEvenSteps(t *testing.T) { testCheckWorkerKilled(t, 0) }

func testCheckWorkerKilled(t *testing.T, remainder int) {
	// Zones left over count as deletes that nobody asked for: the guard allows as many, of half of the zones at most.
	s := startSite(t, system.Topology{}, quickCheck+"[guard]\nmax_delete = 100\n")
	s.make(t, append(guardZones(0, 40), killedOutdated, killedChanged), 100)
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	t.Run("not killed", func(t *testing.T) { s.on(t).checkDamaged(t, c, 0, nil) })
	steps := s.lastSteps(t, c)
	for _, want := range []string{
		"CheckHealth: DiscoverSecondaries", "CheckHealth: SurveyZones", "CheckHealth: CompareZones", "JoinWorkflow", "SyncLeftOvers",
		"ReconcileSecondary: ReconcileZones", "SyncZones: ExportZones", "SyncZones: ApplyZones", "SyncZone: ",
	} {
		if !slices.ContainsFunc(steps, func(step string) bool { return strings.Contains(step, want) }) {
			t.Errorf("the check and its repairs have no step %q: %q", want, steps)
		}
	}
	for i, step := range steps {
		number := i + 1
		if number%2 != remainder {
			continue
		}
		t.Run(fmt.Sprintf("%d %s", number, step), func(t *testing.T) {
			s.on(t).checkDamaged(t, c, number, func(begun []string, open bool) {
				for _, worker := range workersOf(step) {
					s.do(t, "kill", worker)
				}
				for _, worker := range workersOf(step) {
					s.do(t, "start", worker)
				}
				t.Logf("killed after %q", begun)
				if !open && number < len(steps)-2 {
					t.Error("the check had ended before")
				}
			})
		})
	}
}

// workersOf are the processes that may be at work at a step.
func workersOf(step string) []string {
	workers := []string{"primary"}
	for _, theirs := range []string{"CompareZones", "ReconcileZones", "ApplyZone"} {
		if strings.Contains(step, theirs) {
			return append(workers, "secondary-1")
		}
	}
	return workers
}

// The zones of testCheckWorkerKilled.
const killedOutdated, killedChanged = "outdated.killed.example.", "changed.killed.example."

// checkDamaged runs a check that has to repair something in each way that it has: a zone that a secondary holds in an old
// version, one that was changed past the proxy, and one that is left over there and was never published. It does something
// when so many steps have begun, and wants the check to end right.
func (s *site) checkDamaged(t *testing.T, c client.Client, steps int, then func(begun []string, open bool)) {
	n, leftOver := s.secondaries[0], fmt.Sprintf("left-%d.killed.example.", steps)
	s.waitIdle(t)
	old, found := n.zone(t, killedOutdated)
	if !found {
		t.Fatal("the secondary lacks its zone")
	}
	n.patch(t, killedOutdated, soa(killedOutdated, 99))
	n.call(t, http.MethodPost, "/zones", map[string]any{
		"name": leftOver, "kind": "Slave", "masters": old.Masters, "account": old.Account, "soa_edit_api": "",
	})
	changed, _ := s.direct.zone(t, killedChanged)
	s.direct.patch(t, killedChanged, soa(killedChanged, changed.Serial+1))

	began := time.Now()
	run := startCheck(t, c)
	if then != nil {
		then(s.waitSteps(t, c, began, run, steps))
	}
	var report checkReport
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	must(t, c.GetWorkflow(ctx, "health-check", run).Get(ctx, &report))
	if report.Outcome != "in-sync" {
		t.Errorf("%s", report)
	}
	must(t, servesSerial(t.Context(), killedOutdated, 100, s.secondaries...))
	must(t, servesSerial(t.Context(), killedChanged, changed.Serial+1, s.secondaries...))
	if _, there := n.zone(t, leftOver); there {
		t.Errorf("%s is left over still", leftOver)
	}
}

// startCheck starts a health check under its fixed ID.
func startCheck(t testing.TB, c client.Client) (run string) {
	t.Helper()
	started, err := c.SignalWithStartWorkflow(t.Context(), "health-check", "check", map[string]any{"fresh": true},
		client.StartWorkflowOptions{TaskQueue: "pdns-distribute", WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE}, "CheckHealth", map[string]any{})
	must(t, err)
	return started.GetRunID()
}

// waitSteps waits until so many steps have begun since then, or the check has ended, and returns those that have, and whether
// it has not. It asks without a pause: the next step begins some milliseconds later.
func (s *site) waitSteps(t *testing.T, c client.Client, since time.Time, run string, steps int) (begun []string, open bool) {
	t.Helper()
	for deadline := time.Now().Add(soon); ; {
		begun, err := begunSteps(t.Context(), c, since)
		described, describeErr := c.DescribeWorkflowExecution(t.Context(), "health-check", run)
		if err = cmp.Or(err, describeErr); err == nil {
			open = described.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
			if len(begun) >= steps || !open {
				return begun, open
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, want %d steps: %v", begun, steps, err)
		}
	}
}

// lastSteps are those of the newest check and its repairs, up to the check's end.
func (s *site) lastSteps(t *testing.T, c client.Client) []string {
	t.Helper()
	described, err := c.DescribeWorkflowExecution(t.Context(), "health-check", "")
	must(t, err)
	steps, err := begunSteps(t.Context(), c, described.GetWorkflowExecutionInfo().GetStartTime().AsTime())
	must(t, err)
	return steps
}

// begunSteps are those of health checks and repairs that began since then, in their order. A step is what one workflow task
// schedules together, or did itself as local activities.
func begunSteps(ctx context.Context, c client.Client, since time.Time) ([]string, error) {
	type step struct {
		at   time.Time
		text string
	}
	var steps []step
	runs, err := list(ctx, c, fmt.Sprintf(`WorkflowType IN ('CheckHealth', 'ReconcileSecondary', 'SyncZones', 'SyncZone') AND StartTime >= %q`, since.UTC().Format(time.RFC3339Nano)))
	if err != nil {
		return nil, err
	}
	for _, run := range runs {
		tasks := map[int64]int{} // where the step of each workflow task is
		id := run.GetExecution()
		for events := c.GetWorkflowHistory(ctx, id.GetWorkflowId(), id.GetRunId(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
			event, err := events.Next()
			if err != nil {
				return nil, err
			}
			task, name := event.GetActivityTaskScheduledEventAttributes().GetWorkflowTaskCompletedEventId(), scheduledStep(event)
			if marker := event.GetMarkerRecordedEventAttributes(); marker.GetMarkerName() == "LocalActivity" {
				task, name = marker.GetWorkflowTaskCompletedEventId(), "a local activity"
			}
			if name == "" {
				continue
			}
			if at, known := tasks[task]; known {
				steps[at].text += ", " + name
				continue
			}
			tasks[task] = len(steps)
			steps = append(steps, step{event.GetEventTime().AsTime(), run.GetType().GetName() + ": " + name})
		}
	}
	slices.SortStableFunc(steps, func(a, b step) int { return a.at.Compare(b.at) })
	var texts []string
	for _, s := range steps {
		texts = append(texts, s.text)
	}
	return texts, nil
}
