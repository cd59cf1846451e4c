package temporal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/proto"
)

// catchUp is how late a start that was missed is still made up for. One is
// enough after an outage: every check compares the whole state.
const catchUp = time.Minute

// scheduleTimeout bounds what is done with one schedule: of it the client gives
// half to one request, and Temporal's own scheduler may take seconds to answer
// on a busy host.
const scheduleTimeout = 20 * time.Second

// Schedule is one workflow that Temporal starts at intervals. Starts that find
// the last one still running are left out.
type Schedule struct {
	// ID names the schedule.
	ID string
	// Every is the interval, in whole seconds.
	Every time.Duration
	// Workflow is the workflow type and WorkflowID what its ID begins with:
	// Temporal adds the time.
	Workflow, WorkflowID string
	TaskQueue            string
	// Input is the workflow's one argument; encoded as JSON.
	Input any
	// Timeout bounds a run.
	Timeout time.Duration
	// Note says in words what it is for; shown in the web UI.
	Note string
}

// EnsureSchedules makes the schedules that are missing, brings those that differ
// to what is wanted, and returns the IDs of those made. Whether one is paused is
// the operator's: that stays. Doing so twice, or from two primaries at once, is
// harmless.
func EnsureSchedules(ctx context.Context, c client.Client, want []Schedule) (created []string, err error) {
	var failed []error
	for _, schedule := range want {
		made, err := ensureSchedule(ctx, c, schedule)
		if err != nil {
			failed = append(failed, fmt.Errorf("schedule %s: %w", schedule.ID, Explain(err)))
		}
		if made {
			created = append(created, schedule.ID)
		}
	}
	return created, errors.Join(failed...)
}

// OldestSchedule returns when the oldest of these schedules was made; zero
// where none exists.
func OldestSchedule(ctx context.Context, c client.Client, schedules []Schedule) (time.Time, error) {
	var oldest time.Time
	for _, schedule := range schedules {
		have, err := c.ScheduleClient().GetHandle(ctx, schedule.ID).Describe(ctx)
		var missing *serviceerror.NotFound
		if errors.As(err, &missing) {
			continue
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("schedule %s: %w", schedule.ID, Explain(err))
		}
		if created := have.Info.CreatedAt; oldest.IsZero() || created.Before(oldest) {
			oldest = created
		}
	}
	return oldest, nil
}

func ensureSchedule(ctx context.Context, c client.Client, want Schedule) (created bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, scheduleTimeout)
	defer cancel()
	input, err := converter.GetDefaultDataConverter().ToPayload(want.Input)
	if err != nil {
		return false, err
	}
	_, err = c.ScheduleClient().Create(ctx, client.ScheduleOptions{
		ID: want.ID, Spec: want.spec(), Action: want.action(input), Note: want.Note,
		Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp,
	})
	if !errors.Is(err, sdk.ErrScheduleAlreadyRunning) {
		return err == nil, err
	}
	err = c.ScheduleClient().GetHandle(ctx, want.ID).Update(ctx, client.ScheduleUpdateOptions{
		DoUpdate: func(have client.ScheduleUpdateInput) (*client.ScheduleUpdate, error) {
			return want.update(have.Description.Schedule, input)
		},
	})
	if errors.Is(err, sdk.ErrSkipScheduleUpdate) {
		err = nil
	}
	return false, err
}

func (s Schedule) spec() client.ScheduleSpec {
	return client.ScheduleSpec{Intervals: []client.ScheduleIntervalSpec{{Every: s.Every}}}
}

func (s Schedule) action(input *common.Payload) *client.ScheduleWorkflowAction {
	return &client.ScheduleWorkflowAction{
		ID: s.WorkflowID, Workflow: s.Workflow, TaskQueue: s.TaskQueue,
		Args: []any{input}, WorkflowRunTimeout: s.Timeout,
	}
}

// update returns have changed into what is wanted, or that there is nothing
// to change.
func (s Schedule) update(have client.Schedule, input *common.Payload) (*client.ScheduleUpdate, error) {
	if s.matches(have, input) {
		return nil, sdk.ErrSkipScheduleUpdate
	}
	spec := s.spec()
	have.Spec, have.Action = &spec, s.action(input)
	have.Policy = &client.SchedulePolicies{Overlap: enums.SCHEDULE_OVERLAP_POLICY_SKIP, CatchupWindow: catchUp}
	return &client.ScheduleUpdate{Schedule: &have}, nil
}

func (s Schedule) matches(have client.Schedule, input *common.Payload) bool {
	action, ok := have.Action.(*client.ScheduleWorkflowAction)
	if !ok || have.Spec == nil || have.Policy == nil || len(action.Args) != 1 {
		return false
	}
	argument, ok := action.Args[0].(*common.Payload)
	return ok && proto.Equal(argument, input) &&
		action.ID == s.WorkflowID && action.Workflow == s.Workflow &&
		action.TaskQueue == s.TaskQueue && action.WorkflowRunTimeout == s.Timeout &&
		slices.Equal(have.Spec.Intervals, s.spec().Intervals) &&
		have.Policy.Overlap == enums.SCHEDULE_OVERLAP_POLICY_SKIP && have.Policy.CatchupWindow == catchUp
}
