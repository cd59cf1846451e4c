package e2e

import (
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

// killedSteps are the activities of a health check that has to repair something in each way that it has, and of its repairs: see
// checkDamaged.
var killedSteps = []string{
	"CheckHealth: DiscoverSecondaries", "CheckHealth: SurveyZones", "CheckHealth: CompareZones", "CheckHealth: JoinWorkflow", "CheckHealth: SyncLeftOvers",
	"ReconcileSecondary: ReconcileZones",
	"SyncZones: ExportZones", "SyncZones: local", "SyncZones: ApplyZones",
	"SyncZone: local", "SyncZone: ExportZone", "SyncZone: ApplyZone",
	"CheckHealth: CompareZones, again",
}

// syncSteps come when a check's work is done and its repairs are looked at from outside: the worker is killed at them in syncs that
// are started by themselves.
var syncSteps = []string{"SyncZones: VerifyZones", "SyncZones: StartSyncs", "SyncZone: VerifyZone"}

// countStep counts a check in the worker's metrics: Temporal learns of it, and that the check is over, at once.
const countStep = "CheckHealth: local"

// otherSteps are those at which nobody is killed: they are done beside the workflow, and only so where that fails on a slow
// machine.
var otherSteps = []string{"SyncZones: DiscoverSecondaries", "SyncZone: DiscoverSecondaries"}

// The worker of the health check dies at each step of the check and of its repairs, and that of a secondary with it where the
// step is a secondary's: the check ends right, and what was wrong is right. Two systems share the steps, since most of the time
// goes into waiting until Temporal takes the worker for dead.
func testCheckWorkerKilledAtOddSteps(t *testing.T)  { testCheckWorkerKilled(t, 1) }
func testCheckWorkerKilledAtEvenSteps(t *testing.T) { testCheckWorkerKilled(t, 0) }

func testCheckWorkerKilled(t *testing.T, remainder int) {
	// Zones left over count as deletes that nobody asked for: the guard allows as many, of half of the zones at most.
	s := startSite(t, system.Topology{}, quickCheck+"[guard]\nmax_delete = 100\n")
	// No step of one secondary's is over before somebody is killed.
	s.do(t, "stop", s.secondaries[0].name)
	s.moveAway(t, s.secondaries[0].name, s.env["TEMPORAL_ADDRESS"], 100*time.Millisecond)
	s.do(t, "start", s.secondaries[0].name)
	s.make(t, append(guardZones(0, 40), killedOutdated, killedChanged), 100)
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	t.Run("not killed", func(t *testing.T) {
		began := time.Now()
		s.on(t).checkDamaged(t, c, nil)
		steps, err := begunSteps(t.Context(), c, began)
		must(t, err)
		for _, step := range steps {
			if !slices.Contains(slices.Concat(killedSteps, syncSteps, otherSteps, []string{countStep}), step) {
				t.Errorf("nobody is killed at %q", step)
			}
		}
	})
	for i, step := range killedSteps {
		if i%2 != remainder {
			continue
		}
		t.Run(step, func(t *testing.T) {
			untilWithin(t, "check", func() (within bool) {
				s.on(t).checkDamaged(t, c, func(since time.Time, run client.WorkflowRun) {
					s.waitStep(t, c, since, run, step)
					for _, worker := range workersOf(step) {
						s.do(t, "kill", worker)
					}
					within = s.isRunning(t, c, run) // nobody is there any more to end it
					for _, worker := range workersOf(step) {
						s.do(t, "start", worker)
					}
				})
				return within
			})
		})
	}
}

// The worker dies at each of the other steps of a sync, and at the last one of a check: they end, and what was wrong is right.
func testSyncWorkerKilled(t *testing.T) {
	s := startSite(t, system.Topology{}, "[sync]\nevent_check_wait = \"5s\"\n")
	// No step of the primary's is over before it is killed.
	s.do(t, "stop", "primary")
	s.moveAway(t, "primary", s.env["TEMPORAL_ADDRESS"], 100*time.Millisecond)
	s.do(t, "start", "primary")
	s.make(t, []string{killedOutdated}, 100)
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	for _, step := range syncSteps {
		t.Run(step, func(t *testing.T) {
			untilWithin(t, "sync", func() bool { return s.on(t).syncKilled(t, c, step) })
		})
	}
	t.Run(countStep, func(t *testing.T) {
		untilWithin(t, "check", func() bool { return s.on(t).countingCheckKilled(t, c) })
	})
}

// countingCheckKilled starts a check, kills the worker as soon as that has counted it, and says whether Temporal had not learned of
// the check's end by then.
func (s *site) countingCheckKilled(t *testing.T, c client.Client) (within bool) {
	counted := func() float64 {
		return s.metric(t, `pdnsdist_check_runs_total{check="health-check",outcome="in-sync"}`)
	}
	s.waitIdle(t)
	before := counted()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: "health-check", TaskQueue: "pdns-distribute"}, "CheckHealth", map[string]any{})
	must(t, err)
	for deadline := time.Now().Add(soon); counted() == before; {
		if time.Now().After(deadline) {
			t.Fatalf("the check is not counted after %s", soon)
		}
		<-time.After(pollEvery)
	}
	s.do(t, "kill", "primary")
	within = s.isRunning(t, c, run)
	s.do(t, "start", "primary")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var report checkReport
	must(t, run.Get(ctx, &report))
	must(t, wants(report.Outcome == "in-sync", "the check ended: %s", report))
	return within
}

// syncKilled starts a sync, kills the primary's worker at a step of it and says whether the sync was under way then.
func (s *site) syncKilled(t *testing.T, c client.Client, step string) (within bool) {
	flow, _, _ := strings.Cut(step, ": ")
	id, in := "sync-zone/"+killedOutdated, map[string]any{"zone": killedOutdated}
	if flow == "SyncZones" {
		id, in = "sync-zones-by-hand", map[string]any{"zones": []string{killedOutdated}}
	}
	s.waitIdle(t, killedOutdated)
	began := time.Now()
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "pdns-distribute"}, flow, in)
	must(t, err)
	until(t, soon, func() error { return applied(t.Context(), c, run, len(s.secondaries)) })
	s.secondaries[0].patch(t, killedOutdated, soa(killedOutdated, 99))
	s.waitStep(t, c, began, run, step)
	s.do(t, "kill", "primary")
	within = s.isRunning(t, c, run)
	s.do(t, "start", "primary")
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	var result struct {
		Outcome string `json:"outcome"`
	}
	must(t, run.Get(ctx, &result))
	// A batch says what it left to syncs of their own.
	handedOver := flow == "SyncZones" && result.Outcome == "partial"
	if result.Outcome != "in-sync" && !handedOver {
		t.Errorf("the sync ended %s", result.Outcome)
	}
	until(t, soon, func() error { return servesSerial(t.Context(), killedOutdated, 100, s.secondaries...) })
	return within
}

// applied returns nil when so many secondaries have answered that they have what the sync brings.
func applied(ctx context.Context, c client.Client, run client.WorkflowRun, secondaries int) error {
	scheduled, done := map[int64]bool{}, 0
	for events := c.GetWorkflowHistory(ctx, run.GetID(), run.GetRunID(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		if err != nil {
			return err
		}
		if strings.HasPrefix(scheduledStep(event), "ApplyZone") {
			scheduled[event.GetEventId()] = true
		}
		if scheduled[event.GetActivityTaskCompletedEventAttributes().GetScheduledEventId()] {
			done++
		}
	}
	return wants(done == secondaries, "%d of %d secondaries have applied", done, secondaries)
}

// untilWithin kills until it was within what was under way: where that had ended before, it has shown nothing. A step may begin
// milliseconds before the end.
func untilWithin(t *testing.T, what string, kill func() (within bool)) {
	t.Helper()
	const tries = 10
	for range tries {
		if kill() {
			return
		}
	}
	t.Fatalf("the %s had ended before, %d times", what, tries)
}

// workersOf are the processes that may be at work at a step. The primary is the last one to start again: what it asks a
// secondary for shall not wait too long.
func workersOf(step string) []string {
	for _, theirs := range []string{"CompareZones", "ReconcileZones", "ApplyZone"} {
		if strings.Contains(step, theirs) {
			return []string{"secondary-1", "primary"}
		}
	}
	return []string{"primary"}
}

// The zones of testCheckWorkerKilled.
const killedOutdated, killedChanged = "outdated.killed.example.", "changed.killed.example."

// checkDamaged runs a check that has to repair something in each way that it has: a zone that a secondary holds in an old
// version, one that was changed past the proxy, and one that is left over there and was never published. It does something
// while the check runs, and wants it to end right.
func (s *site) checkDamaged(t *testing.T, c client.Client, meanwhile func(since time.Time, run client.WorkflowRun)) {
	n, leftOver := s.secondaries[0], fmt.Sprintf("left-%d.killed.example.", time.Now().UnixNano())
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
	if meanwhile != nil {
		meanwhile(began, run)
	}
	var report checkReport
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	must(t, run.Get(ctx, &report))
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
func startCheck(t testing.TB, c client.Client) client.WorkflowRun {
	t.Helper()
	started, err := c.SignalWithStartWorkflow(t.Context(), "health-check", "check", map[string]any{"fresh": true},
		client.StartWorkflowOptions{TaskQueue: "pdns-distribute", WorkflowIDReusePolicy: enums.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE}, "CheckHealth", map[string]any{})
	must(t, err)
	return started
}

// waitStep waits until a step has begun since then, or the run has ended. It asks without a pause: the next step begins some
// milliseconds later.
func (s *site) waitStep(t *testing.T, c client.Client, since time.Time, run client.WorkflowRun, step string) {
	t.Helper()
	for deadline := time.Now().Add(soon); ; {
		begun, err := begunSteps(t.Context(), c, since)
		if err == nil && slices.Contains(begun, step) || !s.isRunning(t, c, run) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q, want %q: %v", begun, step, err)
		}
	}
}

// isRunning says whether this run has not ended.
func (s *site) isRunning(t *testing.T, c client.Client, run client.WorkflowRun) bool {
	t.Helper()
	described, err := c.DescribeWorkflowExecution(t.Context(), run.GetID(), run.GetRunID())
	must(t, err)
	return described.GetWorkflowExecutionInfo().GetStatus() == enums.WORKFLOW_EXECUTION_STATUS_RUNNING
}

// begunSteps are those of health checks and repairs since then, each once: an activity that was scheduled, or local ones that
// are done. A check compares again after its repairs.
func begunSteps(ctx context.Context, c client.Client, since time.Time) ([]string, error) {
	runs, err := list(ctx, c, fmt.Sprintf(`WorkflowType IN ('CheckHealth', 'ReconcileSecondary', 'SyncZones', 'SyncZone') AND StartTime >= %q`, since.UTC().Format(time.RFC3339Nano)))
	if err != nil {
		return nil, err
	}
	var steps []string
	for _, run := range runs {
		repaired := false
		id := run.GetExecution()
		for events := c.GetWorkflowHistory(ctx, id.GetWorkflowId(), id.GetRunId(), false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
			event, err := events.Next()
			if err != nil {
				return nil, err
			}
			name := scheduledStep(event)
			if event.GetMarkerRecordedEventAttributes().GetMarkerName() == "LocalActivity" {
				name = "local"
			}
			if name == "" {
				continue
			}
			repaired = repaired || name == "JoinWorkflow"
			step := run.GetType().GetName() + ": " + name
			if name == "CompareZones" && repaired {
				step += ", again"
			}
			if !slices.Contains(steps, step) {
				steps = append(steps, step)
			}
		}
	}
	return steps, nil
}
