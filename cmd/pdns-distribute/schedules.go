package main

import (
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// schedules start the checks by themselves. The workflow that a Schedule starts
// has another ID than the check's, so it hands over to the run at work.
func schedules(conf config.Checks) []temporal.Schedule {
	return []temporal.Schedule{
		schedule(workflows.HealthCheck, conf.HealthInterval, "compares every secondary with what was published, and repairs"),
		schedule(workflows.PrimaryScan, conf.ScanInterval, "finds zones that were changed past the api-proxy"),
	}
}

func schedule(check workflows.Check, every time.Duration, note string) temporal.Schedule {
	return temporal.Schedule{
		ID: check.ID, Every: every, Workflow: check.Type, WorkflowID: check.ID, TaskQueue: workflows.WorkflowQueue,
		Input: workflows.CheckInput{Trigger: check.Trigger}, Timeout: check.Within + time.Minute, Note: note,
	}
}
