package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// started is one start of a health check and what its caller learned.
type started struct {
	how, run string
	err      error
}

// However many start a health check at once, and however they do it, one is at work at a time, and each learns which run
// served it.
func testOneCheckAtATime(t *testing.T, s *site) {
	c, err := dialTemporal(s.env)
	must(t, err)
	defer c.Close()
	asPrimary := map[string]string{}
	for key, value := range s.env {
		asPrimary[key] = value
	}
	asPrimary["TEMPORAL_TLS_CERT"], asPrimary["TEMPORAL_TLS_KEY"] = filepath.Join(s.Dir(), "pki", "primary.crt"), filepath.Join(s.Dir(), "pki", "primary.key")
	p, err := dialTemporal(asPrimary)
	must(t, err)
	defer p.Close()

	began := time.Now()
	s.do(t, "pause", "nats") // the run at work waits for it, so all of the starts come meanwhile
	resume := sync.OnceFunc(func() { s.do(t, "resume", "nats") })
	defer resume()
	ways := []func(i int) started{
		func(i int) started { return s.startByCommand(t.Context(), i%8 < 4) },
		func(i int) started { return startByID(t.Context(), c, fmt.Sprintf("by-hand-%d", i)) },
		func(i int) started { return startByID(t.Context(), p, fmt.Sprintf("by-a-primary-%d", i)) },
		func(int) started { return s.startByTctl(t.Context()) },
	}
	const starts = 20
	all := make([]started, starts)
	var group sync.WaitGroup
	for i := range starts {
		group.Go(func() {
			if i == 0 { // once: what a schedule starts within one second has one ID
				all[i] = startBySchedule(t.Context(), c)
				return
			}
			all[i] = ways[i%len(ways)](i)
		})
	}
	until(t, soon, func() error {
		asked := requests(t, c)
		return wants(asked == starts, "%d of %d requests have come", asked, starts)
	})
	resume()
	group.Wait()

	atWork := runsAtWork(t, c, began)
	for _, one := range all {
		must(t, one.err)
	}
	if served := atWork[0].GetExecution().GetRunId(); slices.ContainsFunc(all, func(one started) bool { return one.run != "" && one.run != served }) {
		t.Errorf("not all were served by run %s: %+v", served, all)
	}
	forwarders(t, c, began)
	s.record(t, "by-hand-1", "check_health_handed_over")
	s.record(t, "health-check", "check_health_joined")
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
	with := start("with-content", map[string]any{"content": true})
	until(t, soon, func() error { return wants(requests(t, c) == 1, "the request has not come") })
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

// startByCommand is the command of an operator, on the second primary's host if there is one and other says so.
func (s *site) startByCommand(ctx context.Context, other bool) started {
	args := []string{"check"}
	if other && s.env["API_URL_2"] != "" {
		args = append(args, "--config", s.ConfigPath("primary-2"))
	}
	out, code := s.command(ctx, args...)
	found := regexp.MustCompile(`run (\S+) of workflow health-check`).FindStringSubmatch(out)
	if code != 0 || found == nil {
		return started{how: "pdns-distribute check", err: fmt.Errorf("exit code %d\n%s", code, out)}
	}
	return started{how: "pdns-distribute check", run: found[1]}
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
	return started{how: "schedule", err: err}
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

// requests counts those that the run at work has got.
func requests(t testing.TB, c client.Client) int {
	t.Helper()
	n := 0
	events := c.GetWorkflowHistory(t.Context(), "health-check", "", false, enums.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return 0 // none runs yet
		}
		if event.GetEventType() == enums.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED {
			n++
		}
	}
	return n
}

// forwarders wants every workflow of this type under another ID to have done nothing but to hand over and wait.
func forwarders(t testing.TB, c client.Client, began time.Time) {
	t.Helper()
	runs := listed(t, c, fmt.Sprintf(`WorkflowType = "CheckHealth" AND WorkflowId != "health-check" AND StartTime >= %q`, began.UTC().Format(time.RFC3339)))
	if len(runs) == 0 {
		t.Error("nothing was started under another ID")
	}
	for _, run := range runs {
		id := run.GetExecution()
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
	page, err := c.ListWorkflow(t.Context(), &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: 200})
	must(t, err)
	return page.GetExecutions()
}
