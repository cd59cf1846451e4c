package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// Bounds of waiting and retrying, in one place. The heartbeat timeout and the
// longest retry interval are 5 s everywhere, so that whatever was down is used
// again within seconds of its return.
const (
	heartbeatTimeout = 5 * time.Second
	maxRetryInterval = 5 * time.Second
	// hostStart bounds the wait on one host's queue: an absent host never
	// drains it.
	hostStart = 10 * time.Second
	// localExport bounds an export as a local activity: it blocks the
	// workflow task.
	localExport = 2 * time.Second
	// shortestTimer is the shortest wait for which a timer of Temporal's is
	// used. A shorter one may fire a whole second late: the server looks ahead by
	// history.timerProcessorMaxTimeShift (1 s by default), and a timer that
	// is set within what it has looked through is moved to its end. Measured
	// with 50 ms: 9 % fired after 1 s. A short wait is part of the export instead.
	shortestTimer = time.Second
	// applyWithin is how long a secondary may fail or be slow before it is
	// lagging; it is reconciled on its return.
	applyWithin = 2 * time.Minute
	// exportWithin bounds a step of an export on any primary with its retries,
	// and exportAttempts how often it is tried, five minutes if it fails at once.
	// Meanwhile a sync takes no change and cannot continue as new: it goes on and
	// asks again. It is longer than one attempt may take.
	exportWithin   = 15 * time.Minute
	exportAttempts = 60
	// reconcileWithin bounds a full compare of one secondary with its repairs.
	reconcileWithin = 12 * time.Hour
)

func retries(initial time.Duration, attempts int32) *temporal.RetryPolicy {
	return &temporal.RetryPolicy{
		InitialInterval: initial, BackoffCoefficient: 2, MaximumInterval: maxRetryInterval, MaximumAttempts: attempts,
	}
}

// onLocalWorker is for steps on the workflow worker's own host, a primary: they
// save two hops through Temporal.
func onLocalWorker(ctx workflow.Context) workflow.Context {
	return workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		ScheduleToCloseTimeout: localExport,
		RetryPolicy:            retries(20*time.Millisecond, 5),
	})
}

// onPrimaryHost is for steps on one primary. A few attempts only: where that
// host cannot, any other one shall.
func onPrimaryHost(ctx workflow.Context, id, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryHostQueue(id),
		ScheduleToStartTimeout: hostStart / 2,
		StartToCloseTimeout:    10 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(100*time.Millisecond, 3),
		Summary:                summary,
	})
}

// onAnyPrimary is for steps that wait until some primary can, however long.
func onAnyPrimary(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           PrimaryQueue,
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         retries(100*time.Millisecond, 0),
		Summary:             summary,
	})
}

// exporting is for the steps of a sync that wait until some primary can: as
// [onAnyPrimary], but bounded, since the sync asks again.
func exporting(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryQueue,
		ScheduleToCloseTimeout: exportWithin,
		StartToCloseTimeout:    10 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(100*time.Millisecond, exportAttempts),
		Summary:                summary,
	})
}

// verifying is for the check from outside: it only reads, and the next
// change checks again, so it is tried for a minute.
func verifying(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryQueue,
		ScheduleToCloseTimeout: time.Minute,
		StartToCloseTimeout:    30 * time.Second,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(time.Second, 0),
		Summary:                summary,
	})
}

// verifyingMany is the same for a batch, which takes longer. It ends in any case,
// so that checks do not pile up on the queue where exports are waiting.
func verifyingMany(ctx workflow.Context, summary string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryQueue,
		ScheduleToCloseTimeout: 5 * time.Minute,
		StartToCloseTimeout:    2 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(time.Second, 0),
		Summary:                summary,
	})
}

// onSecondary is for bringing one zone to its newest version on one secondary.
// Large zones get the time that PowerDNS needs to store them.
func onSecondary(ctx workflow.Context, id string, records int, summary string) workflow.Context {
	forSize := time.Duration(records) * 200 * time.Microsecond
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              SecondaryHostQueue(id),
		ScheduleToStartTimeout: hostStart,
		ScheduleToCloseTimeout: applyWithin + forSize,
		StartToCloseTimeout:    applyWithin + forSize,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(100*time.Millisecond, 0),
		Summary:                summary,
	})
}

// batching is for a step over many zones, on the queue of one host, or on that
// of all primaries. A host's queue is bounded, as ever.
func batching(ctx workflow.Context, queue string, zones int, summary string) workflow.Context {
	options := workflow.ActivityOptions{
		TaskQueue:           queue,
		StartToCloseTimeout: applyWithin + time.Duration(zones)*time.Second,
		HeartbeatTimeout:    heartbeatTimeout,
		RetryPolicy:         retries(500*time.Millisecond, 0),
		Summary:             summary,
	}
	if queue != PrimaryQueue {
		options.ScheduleToStartTimeout = hostStart
		options.RetryPolicy.MaximumAttempts = 20
	}
	return workflow.WithActivityOptions(ctx, options)
}

// reconciling is for comparing one secondary in full, which may take long.
func reconciling(ctx workflow.Context, id string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              SecondaryHostQueue(id),
		ScheduleToStartTimeout: hostStart,
		ScheduleToCloseTimeout: reconcileWithin,
		StartToCloseTimeout:    2 * time.Hour,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(time.Second, 0),
		Summary:                "compare all zones of " + id,
	})
}

// joining is for waiting until another workflow has ended, however often the one
// that waits dies.
func joining(ctx workflow.Context, workflowType string, within time.Duration) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryQueue,
		ScheduleToCloseTimeout: within,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(500*time.Millisecond, 0),
		Summary:                "wait for " + workflowType,
	})
}

// surveying is for comparing a primary with what was published and having the
// differences synced. A primary that is down is waited for; what fails for five
// minutes on end is told as the check's result.
func surveying(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryQueue,
		ScheduleToCloseTimeout: 90 * time.Minute,
		StartToCloseTimeout:    45 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(500*time.Millisecond, 60),
		Summary:                "compare what the primary holds with what was published",
	})
}

// scanning is the same without waiting for syncs. The next scan comes soon.
func scanning(ctx workflow.Context) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              PrimaryQueue,
		ScheduleToCloseTimeout: 5 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(500*time.Millisecond, 0),
		Summary:                "compare what the primary holds with what was published",
	})
}

// comparing is for a secondary that compares itself with a catalogue. One whose
// worker does not answer is lagging.
func comparing(ctx workflow.Context, id string) workflow.Context {
	return workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:              SecondaryHostQueue(id),
		ScheduleToStartTimeout: hostStart,
		ScheduleToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:       heartbeatTimeout,
		RetryPolicy:            retries(500*time.Millisecond, 10),
		Summary:                "compare " + id + " with the catalogue",
	})
}
