package main

import (
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// schedules start the checks by themselves. The workflow that a Schedule starts
// has another ID than the check's, so it hands over to the run at work.
func schedules(conf *config.Config) []temporal.Schedule {
	checks := conf.Checks
	all := []temporal.Schedule{
		schedule(workflows.HealthCheck, checks.HealthInterval, "compares every secondary with what was published, and repairs"),
		schedule(workflows.PrimaryScan, checks.ScanInterval, "finds zones that were changed past the api-proxy"),
		schedule(workflows.SignatureCheck, checks.SignatureInterval, "compares how long the signatures stay valid that every secondary serves, and repairs"),
		sampled(schedule(workflows.ContentCheck, checks.ContentInterval, "compares the content of a part of the zones by digest, and repairs"), checks.ContentSample),
	}
	if conf.NSEC3.Enforce {
		all = append(all, schedule(workflows.NSEC3Policy, checks.NSEC3Interval, "sets NSEC3 on zones that are signed with NSEC"))
	}
	return all
}

// sampled has a check look at a part of the zones only.
func sampled(s temporal.Schedule, percent int) temporal.Schedule {
	in := s.Input.(workflows.CheckInput) //nolint:errcheck // made by schedule
	in.Sample = percent
	s.Input = in
	return s
}

func schedule(check workflows.Check, every time.Duration, note string) temporal.Schedule {
	return temporal.Schedule{
		ID: check.ID, Every: every, Workflow: check.Type, WorkflowID: check.ID, TaskQueue: workflows.WorkflowQueue,
		Input: workflows.CheckInput{Trigger: check.Trigger}, Timeout: check.Within + time.Minute, Note: note,
	}
}
