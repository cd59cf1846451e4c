package temporal_test

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/common/v1"
	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
)

func attributesOf(t *testing.T, c client.Client) map[string]enums.IndexedValueType {
	t.Helper()
	have, err := c.OperatorService().ListSearchAttributes(t.Context(), &operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	if err != nil {
		t.Fatal(err)
	}
	return have.GetCustomAttributes()
}

func TestEnsureSearchAttributes(t *testing.T) {
	c, reader := dial(t, config("primary"), quiet()), dial(t, config("reader"), quiet())
	want := temporal.Attributes{"TestZone": enums.INDEXED_VALUE_TYPE_KEYWORD_LIST, "TestOutcome": enums.INDEXED_VALUE_TYPE_KEYWORD}

	_, err := temporal.EnsureSearchAttributes(t.Context(), reader, "default", want)
	if err == nil {
		t.Error("a reader may make search attributes")
	} else {
		for _, part := range []string{"temporal operator search-attribute create --namespace default --name TestZone --type KeywordList", "TestOutcome", "temporal.cert_file"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("without permission: %v, want %q", err, part)
			}
		}
	}

	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := temporal.EnsureSearchAttributes(t.Context(), c, "default", want); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if have := attributesOf(t, c); have["TestZone"] != enums.INDEXED_VALUE_TYPE_KEYWORD_LIST || have["TestOutcome"] != enums.INDEXED_VALUE_TYPE_KEYWORD {
		t.Errorf("attributes are %v", have)
	}
	if created, err := temporal.EnsureSearchAttributes(t.Context(), reader, "default", want); err != nil || len(created) != 0 {
		t.Errorf("with all there, by one who may only read: %v, %v", created, err)
	}
	want["TestMore"] = enums.INDEXED_VALUE_TYPE_KEYWORD
	if created, err := temporal.EnsureSearchAttributes(t.Context(), c, "default", want); err != nil || !slices.Equal(created, []string{"TestMore"}) {
		t.Errorf("one more: %v, %v", created, err)
	}
	want["TestOutcome"] = enums.INDEXED_VALUE_TYPE_INT
	if _, err := temporal.EnsureSearchAttributes(t.Context(), c, "default", want); err == nil ||
		!strings.Contains(err.Error(), "TestOutcome is of type Keyword where Int is needed") || !strings.Contains(err.Error(), "search-attribute remove --namespace default --name TestOutcome") {
		t.Errorf("another type: %v", err)
	}
}

func TestEnsureSchedules(t *testing.T) {
	c := dial(t, config("primary"), quiet())
	spec := temporal.Schedule{
		ID: "test-check", Every: 15 * time.Minute, Workflow: "TestCheck", WorkflowID: "test-check-start", TaskQueue: "nobody",
		Input: map[string]any{"trigger": "schedule", "zones": 3}, Timeout: time.Minute, Note: "compares everything",
	}
	ensure := func() []string {
		t.Helper()
		created, err := temporal.EnsureSchedules(t.Context(), c, []temporal.Schedule{spec})
		if err != nil {
			t.Fatal(err)
		}
		return created
	}
	describe := func() *client.ScheduleDescription {
		t.Helper()
		d, err := c.ScheduleClient().GetHandle(t.Context(), spec.ID).Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	if created, err := temporal.EnsureSchedules(t.Context(), c, nil); err != nil || created != nil {
		t.Errorf("none: %v, %v", created, err)
	}
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() {
			if _, err := temporal.EnsureSchedules(t.Context(), c, []temporal.Schedule{spec}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if d := describe(); d.Schedule.Spec.Intervals[0].Every != 15*time.Minute || d.Schedule.Policy.Overlap != enums.SCHEDULE_OVERLAP_POLICY_SKIP {
		t.Errorf("made %+v, %+v", d.Schedule.Spec, d.Schedule.Policy)
	}
	oldest, err := temporal.OldestSchedule(t.Context(), c, []temporal.Schedule{{ID: "none"}, spec})
	if err != nil || time.Since(oldest) > time.Minute {
		t.Errorf("oldest is of %v, %v", oldest, err)
	}
	if oldest, err := temporal.OldestSchedule(t.Context(), c, []temporal.Schedule{{ID: "none"}}); err != nil || !oldest.IsZero() {
		t.Errorf("of none: %v, %v", oldest, err)
	}
	if created := ensure(); len(created) != 0 || describe().Info.LastUpdateAt.Unix() > 0 {
		t.Errorf("unchanged: made %v, updated at %v", created, describe().Info.LastUpdateAt)
	}

	handle := c.ScheduleClient().GetHandle(t.Context(), spec.ID)
	if err := handle.Pause(t.Context(), client.SchedulePauseOptions{Note: "ours"}); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(){
		"interval": func() { spec.Every = 10 * time.Minute },
		"input":    func() { spec.Input = map[string]any{"trigger": "other"} },
		"queue":    func() { spec.TaskQueue = "somebody" },
		"timeout":  func() { spec.Timeout = 2 * time.Minute },
	} {
		edit()
		if created := ensure(); len(created) != 0 {
			t.Errorf("%s changed: made %v", name, created)
		}
	}
	eventually.True(t, "all changes are there", func() bool {
		d := describe()
		action := d.Schedule.Action.(*client.ScheduleWorkflowAction)
		return d.Schedule.Spec.Intervals[0].Every == 10*time.Minute && action.TaskQueue == "somebody" && action.WorkflowRunTimeout == 2*time.Minute &&
			string(action.Args[0].(*common.Payload).Data) == `{"trigger":"other"}`
	})
	if d := describe(); !d.Schedule.State.Paused || d.Schedule.State.Note != "ours" {
		t.Errorf("the operator's pause is gone: %+v", d.Schedule.State)
	}
	if err := handle.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually.True(t, "made again once lost", func() bool { return slices.Equal(ensure(), []string{"test-check"}) })
}
