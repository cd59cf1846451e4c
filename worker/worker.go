// Package worker says which workflows and activities each role serves, and on
// which task queue. A worker that depends on the local PowerDNS takes work
// only while PowerDNS answers.
package worker

import (
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// exportsAtOnce bounds the zones that a primary exports at the same time: each
// is an AXFR from the local PowerDNS, and on a host of a few cores more of them
// only wait for each other.
const exportsAtOnce = 16

// appliesAtOnce bounds the zones that a secondary brings at the same time.
// PowerDNS takes them with `retrieval-threads` (2) at once; the rest waits in
// its queue.
const appliesAtOnce = 16

// pollers has as many polls open at a time. With the SDK's two, a busy or distant
// Temporal server that takes 100 ms to hand out a task hands out no more than 20 a second.
// A number that follows the load is looked at ten times a second, for each kind of task
// (SDK 1.50): that is half of what an idle worker wakes up for.
func pollers() worker.PollerBehavior {
	return worker.NewPollerBehaviorSimpleMaximum(worker.PollerBehaviorSimpleMaximumOptions{MaximumNumberOfPollers: 5})
}

// stopWithin is how long a worker that stops may take to end what it has begun.
// A task that it drops is missed only after Temporal's timeouts: 5 s for an
// activity, 10 s for a step of a workflow.
const stopWithin = 2 * time.Second

// stickyWithin is how long a workflow waits for the worker that has it in memory,
// which may have died, before any worker takes it from its history.
// Temporal's default is 5 s.
const stickyWithin = 2 * time.Second

// Primary is what a primary's workers serve.
type Primary struct {
	Client    client.Client
	Activity  *activities.Primary
	Directory *activities.Directory
	Verifier  *activities.Verifier
	Checks    *activities.Checks
	Scanner   *activities.Scanner
	Surveyor  *activities.Surveyor
	Denial    *activities.Denial
	Logger    *slog.Logger
}

// Workflows returns the worker of the workflow queue. Exports run beside the
// workflow, as local activities; the queue carries no other activities. It is
// to run whether PowerDNS answers or not: workflows have other things to do.
func (p Primary) Workflows() *Gated {
	return newGated(p.Logger, func(gaveUp func(error)) []worker.Worker {
		w := worker.New(p.Client, workflows.WorkflowQueue, worker.Options{
			LocalActivityWorkerOnly:                 true,
			MaxConcurrentLocalActivityExecutionSize: exportsAtOnce,
			WorkflowTaskPollerBehavior:              pollers(),
			StickyScheduleToStartTimeout:            stickyWithin,
			WorkerStopTimeout:                       stopWithin,
			OnFatalError:                            gaveUp,
		})
		RegisterWorkflows(w)
		w.RegisterActivity(p.Activity)
		w.RegisterActivity(p.Directory)
		w.RegisterActivity(p.Checks)
		return []worker.Worker{w}
	})
}

// Exports returns the gated workers of the two export queues: the one that all
// primaries share and this host's own. While PowerDNS is down they take
// nothing, so another primary does the work, or it waits.
func (p Primary) Exports() *Gated {
	return newGated(p.Logger, func(gaveUp func(error)) []worker.Worker {
		var workers []worker.Worker
		for _, queue := range []string{workflows.PrimaryQueue, workflows.PrimaryHostQueue(p.Activity.ID)} {
			w := worker.New(p.Client, queue, worker.Options{
				DisableWorkflowWorker:              true,
				MaxConcurrentActivityExecutionSize: exportsAtOnce,
				ActivityTaskPollerBehavior:         pollers(),
				WorkerStopTimeout:                  stopWithin,
				OnFatalError:                       gaveUp,
			})
			w.RegisterActivity(p.Activity)
			w.RegisterActivity(p.Directory)
			w.RegisterActivity(p.Verifier)
			w.RegisterActivity(p.Checks)
			w.RegisterActivity(p.Scanner)
			w.RegisterActivity(p.Surveyor)
			w.RegisterActivity(p.Denial)
			workers = append(workers, w)
		}
		return workers
	})
}

// Secondary returns the gated worker of one secondary's queue.
func Secondary(c client.Client, activity *activities.Secondary, logger *slog.Logger) *Gated {
	return newGated(logger, func(gaveUp func(error)) []worker.Worker {
		w := worker.New(c, workflows.SecondaryHostQueue(activity.ID), worker.Options{
			DisableWorkflowWorker:              true,
			MaxConcurrentActivityExecutionSize: appliesAtOnce,
			ActivityTaskPollerBehavior:         pollers(),
			WorkerStopTimeout:                  stopWithin,
			OnFatalError:                       gaveUp,
		})
		w.RegisterActivity(activity)
		return []worker.Worker{w}
	})
}

// RegisterWorkflows registers every workflow under its contract name.
func RegisterWorkflows(w worker.WorkflowRegistry) {
	w.RegisterWorkflow(workflows.SyncZone)
	w.RegisterWorkflow(workflows.SyncZones)
	w.RegisterWorkflow(workflows.ReconcileSecondary)
	w.RegisterWorkflow(workflows.CheckHealth)
	w.RegisterWorkflow(workflows.ScanPrimary)
	w.RegisterWorkflow(workflows.HoldChange)
	w.RegisterWorkflow(workflows.CheckSignatures)
	w.RegisterWorkflow(workflows.CheckContent)
	w.RegisterWorkflow(workflows.EnforceNSEC3)
}
