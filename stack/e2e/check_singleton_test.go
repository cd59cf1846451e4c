package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/history/v1"
	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Ways of starting a check that differ in what is learned: a command asks the run at work itself, and nobody waits for what a
// schedule starts.
const byCommandLine, bySchedule = "pdns-distribute check", "schedule"

// started is one start of a health check and what its caller learned.
type started struct {
	how, run string
	err      error
}

// However many start a health check at once, from either primary, by the schedule, tctl or the command, one is at work at a
// time, and each learns which run served it.
func testOneCheckAtATime(t *testing.T, p *primaries) {
	until(t, recovered, func() error { return p.prints(t, 0, "check", `health check in-sync.*`) })
	p.waitIdle(t)
	operator, err := dialTemporal(p.env)
	must(t, err)
	defer operator.Close()
	first, second := p.dialAs(t, p.first.process), p.dialAs(t, p.second.process)

	began := time.Now()
	p.do(t, "pause", "nats") // the run at work waits for it, so all of the starts come meanwhile
	resume := sync.OnceFunc(func() { p.do(t, "resume", "nats") })
	defer resume()
	ways := []func(i int) started{
		func(int) started { return p.startByCommand(t.Context(), p.first.process) },
		func(int) started { return p.startByCommand(t.Context(), p.second.process) },
		func(i int) started { return startByID(t.Context(), operator, fmt.Sprintf("by-hand-%d", i)) },
		func(i int) started { return startByID(t.Context(), first, fmt.Sprintf("by-the-first-%d", i)) },
		func(i int) started { return startByID(t.Context(), second, fmt.Sprintf("by-the-second-%d", i)) },
		func(int) started { return p.startByTctl(t.Context()) },
	}
	const starts = 20
	all := make([]started, starts)
	var group sync.WaitGroup
	for i := range starts {
		group.Go(func() {
			if i == 0 { // once: what a schedule starts within one second has one ID
				all[i] = startBySchedule(t.Context(), operator)
				return
			}
			all[i] = ways[i%len(ways)](i)
		})
	}
	until(t, soon, func() error {
		asked := events(t, operator, enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED)
		return wants(asked == starts, "%d of %d requests have come", asked, starts)
	})
	resume()
	group.Wait()

	atWork := runsAtWork(t, operator, began)
	served := atWork[0].GetExecution().GetRunId()
	byCommand := 0
	for _, one := range all {
		must(t, one.err)
		if one.how != bySchedule && one.run != served {
			t.Errorf("run %s served them, %s learned of run %s", served, one.how, one.run)
		}
		if one.how == byCommandLine {
			byCommand++
		}
	}
	forwarders(t, operator, began, starts-byCommand, served)
	p.record(t, "by-hand-2", "check_health_handed_over")
	p.record(t, "health-check", "check_health_joined")
}

// dialAs connects to Temporal as a process of the product does.
func (s *site) dialAs(t *testing.T, role string) client.Client {
	t.Helper()
	as := maps.Clone(s.env)
	as["TEMPORAL_TLS_CERT"], as["TEMPORAL_TLS_KEY"] = filepath.Join(s.Dir(), "pki", role+".crt"), filepath.Join(s.Dir(), "pki", role+".key")
	c, err := dialTemporal(as)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

// What a run was not started with, and somebody asks for while it is at work, gets a round of its own in the same run.
func testContentAskedForMeanwhile(t *testing.T, s *site) {
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	s.do(t, "pause", "nats") // the run waits for it
	resume := sync.OnceFunc(func() { s.do(t, "resume", "nats") })
	defer resume()
	start := func(id string, in map[string]any) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: "pdns-distribute"}, "CheckHealth", in)
		must(t, err)
		return run
	}
	without := start("health-check", map[string]any{})
	until(t, soon, func() error { // what comes before belongs to its first round
		return wants(events(t, c, enums.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED) > 0, "the check is not at work")
	})
	with := start("with-content", map[string]any{"content": true})
	until(t, soon, func() error {
		return wants(events(t, c, enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED) == 1, "the request has not come")
	})
	resume()
	var first, second checkReport
	must(t, without.Get(t.Context(), &first))
	must(t, with.Get(t.Context(), &second))
	if first.RunID != second.RunID || second.Rounds != 2 || second.Content.Outcome != "in-sync" || second.Outcome != "in-sync" {
		t.Errorf("the first learned %s, the second %s", first, second)
	}
	s.record(t, "health-check", "check_health_content")
	s.record(t, "content-check", "check_content_asked_for")
}

// startByCommand is the command of an operator on a primary's host.
func (s *site) startByCommand(ctx context.Context, primary string) started {
	out, code := s.command(ctx, "check", "--config", s.ConfigPath(primary))
	found := regexp.MustCompile(`run (\S+) of workflow health-check`).FindStringSubmatch(out)
	if code != 0 || found == nil {
		return started{how: byCommandLine, err: fmt.Errorf("exit code %d\n%s", code, out)}
	}
	return started{how: byCommandLine, run: found[1]}
}

// startByID starts the workflow under another ID and waits for its result.
func startByID(ctx context.Context, c client.Client, id string) started {
	run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: id, TaskQueue: "pdns-distribute"}, "CheckHealth", map[string]any{})
	var result checkReport
	if err == nil {
		err = run.Get(ctx, &result)
	}
	if err == nil && result.Outcome != "in-sync" {
		err = fmt.Errorf("%s", result)
	}
	return started{how: id, run: result.RunID, err: err}
}

// startByTctl gives no ID, so that tctl makes one up, and waits for the result that it prints.
func (s *site) startByTctl(ctx context.Context) started {
	out, code := s.tctl(ctx, "workflow", "run", "--taskqueue", "pdns-distribute", "--workflow_type", "CheckHealth", "--execution_timeout", "300", "--input", "{}")
	// The result, JSON, is printed with its quotation marks escaped or without.
	found := regexp.MustCompile(`run_id\W+([0-9a-f-]{36})`).FindStringSubmatch(out)
	if code != 0 || found == nil {
		return started{how: "tctl", err: fmt.Errorf("exit code %d\n%s", code, out)}
	}
	return started{how: "tctl", run: found[1]}
}

func (s *site) tctl(ctx context.Context, args ...string) (out string, code int) {
	global := []string{
		"--address", s.env["TEMPORAL_ADDRESS"], "--namespace", s.env["TEMPORAL_NAMESPACE"], "--tls_server_name", "localhost",
		"--tls_ca_path", s.env["TEMPORAL_TLS_CA"], "--tls_cert_path", s.env["TEMPORAL_TLS_CERT"], "--tls_key_path", s.env["TEMPORAL_TLS_KEY"],
	}
	return s.run(ctx, filepath.Join(os.Getenv("STACK_TOOLS"), "tctl"), append(global, args...)...)
}

// startBySchedule triggers the schedule; nobody waits for what that starts.
func startBySchedule(ctx context.Context, c client.Client) started {
	err := c.ScheduleClient().GetHandle(ctx, "health-check").Trigger(ctx, client.ScheduleTriggerOptions{Overlap: enums.SCHEDULE_OVERLAP_POLICY_ALLOW_ALL})
	return started{how: bySchedule, err: err}
}

// runsAtWork returns the runs under the fixed ID since began, once they have ended. No two of them were open at once.
func runsAtWork(t testing.TB, c client.Client, began time.Time) []*workflow.WorkflowExecutionInfo {
	t.Helper()
	var runs []*workflow.WorkflowExecutionInfo
	until(t, soon, func() error { // visibility is a moment behind
		runs = listed(t, c, fmt.Sprintf(`WorkflowId = "health-check" AND StartTime >= %q`, began.Add(-time.Minute).UTC().Format(time.RFC3339)))
		for _, run := range runs {
			if run.GetStatus() != enums.WORKFLOW_EXECUTION_STATUS_COMPLETED {
				return fmt.Errorf("run %s: %s", run.GetExecution().GetRunId(), run.GetStatus())
			}
		}
		return wants(len(runs) > 0, "no run")
	})
	for i, a := range runs {
		for _, b := range runs[:i] {
			if a.GetStartTime().AsTime().Before(b.GetCloseTime().AsTime()) && b.GetStartTime().AsTime().Before(a.GetCloseTime().AsTime()) {
				t.Errorf("two at work at once: %s and %s", a, b)
			}
		}
	}
	return runs
}

// events counts those of a type in the history of the run at work; a signal is a request.
func events(t testing.TB, c client.Client, of enums.EventType) int {
	t.Helper()
	n := 0
	for all := c.GetWorkflowHistory(t.Context(), "health-check", "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); all.HasNext(); {
		event, err := all.Next()
		if err != nil {
			return 0 // none runs yet
		}
		if event.GetEventType() == of {
			n++
		}
	}
	return n
}

// forwarders wants so many workflows of this type under other IDs, each of which has done nothing but to hand over and wait,
// and has learned which run served it.
func forwarders(t testing.TB, c client.Client, began time.Time, count int, served string) {
	t.Helper()
	var runs []*workflow.WorkflowExecutionInfo
	until(t, soon, func() error { // visibility is a moment behind
		runs = listed(t, c, fmt.Sprintf(`WorkflowType = "CheckHealth" AND WorkflowId != "health-check" AND StartTime >= %q`, began.UTC().Format(time.RFC3339Nano)))
		return wants(len(runs) == count, "%d were started under other IDs, want %d", len(runs), count)
	})
	for _, run := range runs {
		id := run.GetExecution()
		var report checkReport
		must(t, c.GetWorkflow(t.Context(), id.GetWorkflowId(), id.GetRunId()).Get(t.Context(), &report))
		if report.RunID != served {
			t.Errorf("%s learned of run %s, run %s served it", id, report.RunID, served)
		}
		events := c.GetWorkflowHistory(t.Context(), id.GetWorkflowId(), id.GetRunId(), true, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
		var steps []string
		for events.HasNext() {
			event, err := events.Next()
			must(t, err)
			if step := scheduledStep(event); step != "" {
				steps = append(steps, step)
			}
		}
		if strings.Join(steps, " ") != "JoinWorkflow" {
			t.Errorf("%s did %v", id, steps)
		}
	}
}

// scheduledStep names the activity that the event schedules, "" where it is another one.
func scheduledStep(event *history.HistoryEvent) string {
	return event.GetActivityTaskScheduledEventAttributes().GetActivityType().GetName()
}

func listed(t testing.TB, c client.Client, query string) []*workflow.WorkflowExecutionInfo {
	t.Helper()
	runs, err := list(t.Context(), c, query)
	must(t, err)
	return runs
}

func list(ctx context.Context, c client.Client, query string) ([]*workflow.WorkflowExecutionInfo, error) {
	page, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 200})
	return page.GetExecutions(), err
}
