package workflows

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// healthTest is a health check over activities whose answers a test chooses.
type healthTest struct {
	*testsuite.TestWorkflowEnvironment
	mu sync.Mutex // activities run at the same time
	// found are the answers of each secondary, one a compare.
	found map[string][]activities.CompareZonesResult
	// reconciled and joined are what was asked for.
	reconciled []string
	joined     []string
	noted      activities.NoteCheckInput
}

func newHealthTest(t *testing.T, found map[string][]activities.CompareZonesResult) *healthTest {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := &healthTest{TestWorkflowEnvironment: newEnvironment(&suite), found: found}
	env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: HealthCheck.ID})
	env.RegisterWorkflow(CheckHealth)
	for _, holder := range []any{&activities.Checks{}, &activities.Scanner{}, &activities.Directory{}, &activities.Secondary{}} {
		env.RegisterActivity(holder)
	}
	env.OnActivity(checks.NoteCheck, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.NoteCheckInput) error {
		env.noted = in
		return nil
	})
	env.OnActivity(secondary.CompareZones, mock.Anything, mock.Anything).Return(env.compare).Maybe()
	env.OnActivity(checks.JoinWorkflow, mock.Anything, mock.Anything).Return(env.join).Maybe()
	return env
}

func (e *healthTest) compare(ctx context.Context, in activities.CompareZonesInput) (activities.CompareZonesResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for id, answers := range e.found {
		if activity.GetInfo(ctx).TaskQueue != SecondaryHostQueue(id) {
			continue
		}
		if in.Catalogue != "the list" || len(answers) == 0 {
			return activities.CompareZonesResult{}, temporal.NewNonRetryableApplicationError("not asked for", "Test", nil)
		}
		if len(answers) > 1 {
			e.found[id] = answers[1:]
		}
		return answers[0], nil
	}
	return activities.CompareZonesResult{}, temporal.NewNonRetryableApplicationError("no such secondary", "Test", nil)
}

func (e *healthTest) join(_ context.Context, in activities.JoinWorkflowInput) (activities.JoinWorkflowResult, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.joined = append(e.joined, in.Workflow)
	if in.Workflow == ReconcileSecondaryType {
		var asked ReconcileSecondaryInput
		if err := json.Unmarshal(in.Input, &asked); err != nil {
			return activities.JoinWorkflowResult{}, err
		}
		e.reconciled = append(e.reconciled, asked.Secondary)
	}
	return activities.JoinWorkflowResult{Result: json.RawMessage(`{"outcome":"in-sync","run_id":"another"}`)}, nil
}

// surveying answers every survey, and lists the secondaries that have answers.
func (e *healthTest) surveying(result activities.SurveyZonesResult) {
	result.Primary, result.Catalogue = "primary-1", "the list"
	e.OnActivity(scanner.SurveyZones, mock.Anything, mock.Anything).Return(result, nil)
	var targets []activities.Target
	for _, id := range []string{"a", "b", "dead"} {
		if _, takesPart := e.found[id]; takesPart {
			targets = append(targets, activities.Target{ID: id})
		}
	}
	e.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).Return(activities.DiscoverSecondariesResult{Targets: targets}, nil)
}

func (e *healthTest) run(t *testing.T, in CheckInput) CheckHealthResult {
	t.Helper()
	e.ExecuteWorkflow(CheckHealth, in)
	require.NoError(t, e.GetWorkflowError())
	var result CheckHealthResult
	require.NoError(t, e.GetWorkflowResult(&result))
	return result
}

var right = activities.CompareZonesResult{Zones: 9, Right: 9, Asked: 9}

func TestCheckHealthWithAllInSyncRepairsNothing(t *testing.T) {
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {right}, "b": {right}})
	env.surveying(activities.SurveyZonesResult{Zones: 9})
	result := env.run(t, CheckInput{})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, HealthCheck.ID, env.noted.Check)
	require.Len(t, result.Secondaries, 2)
	require.Empty(t, env.joined)
	require.Empty(t, result.Found)
}

func TestCheckHealthRepairsAndComparesAgain(t *testing.T) {
	wrong := activities.CompareZonesResult{Zones: 9, Right: 6, Asked: 6, Missing: 2, Outdated: 1, Names: []string{"x. missing"}}
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {wrong, right}, "b": {right}})
	env.surveying(activities.SurveyZonesResult{Zones: 9, Drift: activities.DriftCounts{Changed: 3}})
	result := env.run(t, CheckInput{})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, []string{"a"}, env.reconciled)
	require.Equal(t, map[string]int{"missing": 2, "outdated": 1, "changed": 3}, result.Found)
	require.Equal(t, 3, result.Repaired)
	require.Equal(t, result.Found, env.noted.Found)
	require.Equal(t, wrong, result.Secondaries[0].Found)
	require.Equal(t, right, result.Secondaries[0].Left)
}

func TestCheckHealthSaysWhatItCouldNotRepair(t *testing.T) {
	wrong := activities.CompareZonesResult{Zones: 9, Right: 8, Asked: 8, Foreign: 1}
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {wrong}})
	env.surveying(activities.SurveyZonesResult{Zones: 9})
	result := env.run(t, CheckInput{})
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateLagging, result.Secondaries[0].State)
	require.Zero(t, result.Repaired)
}

// What orphaned zones are is for the primaries to say; what is answered wrongly
// is brought again.
func TestCheckHealthAsksAboutOrphansAndBringsWhatIsAnsweredWrongly(t *testing.T) {
	wrong := activities.CompareZonesResult{
		Zones: 9, Right: 8, LeftOver: 1, OrphanedZones: []string{"orphan."}, Orphaned: 300, Answered: 1, AnsweredZones: []string{"stale."},
	}
	soon := right
	soon.LeftOver = 1 // its sync is under way
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {wrong, soon, right}, "b": {wrong, right}})
	env.surveying(activities.SurveyZonesResult{Zones: 9})
	env.OnActivity(scanner.SyncLeftOvers, mock.Anything, activities.LeftOversInput{Zones: []string{"orphan."}, Together: 300}).Return(nil).Once()
	env.OnActivity(secondary.ApplyZones, mock.Anything, activities.ZonesInput{Zones: []string{"stale."}}).Return(activities.ZonesResult{}, nil).Twice()
	result := env.run(t, CheckInput{})
	require.Equal(t, OutcomeInSync, result.Outcome, "%+v", result)
	require.Empty(t, result.Secondaries[0].Found.OrphanedZones, "the report counts")
	env.AssertExpectations(t)
}

// A dead worker's PowerDNS may serve the right zones today; nobody looks after it.
func TestCheckHealthOfADeadWorkerIsLagging(t *testing.T) {
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {right}, "dead": nil})
	env.surveying(activities.SurveyZonesResult{Zones: 9})
	result := env.run(t, CheckInput{})
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateInSync, result.Secondaries[0].State)
	require.Equal(t, StateLagging, result.Secondaries[1].State)
	require.NotEmpty(t, result.Secondaries[1].Error)
}

func TestCheckHealthWithoutSecondariesIsNoSuccess(t *testing.T) {
	env := newHealthTest(t, nil)
	env.surveying(activities.SurveyZonesResult{Zones: 9})
	result := env.run(t, CheckInput{})
	require.Equal(t, OutcomeFailed, result.Outcome)
	require.Equal(t, noTargets, result.Error)
	require.Equal(t, OutcomeFailed, env.noted.Outcome)
}

// A roster that was lost with its bucket fills again.
func TestCheckHealthWaitsForTheRoster(t *testing.T) {
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {right}})
	env.OnActivity(scanner.SurveyZones, mock.Anything, mock.Anything).Return(activities.SurveyZonesResult{Catalogue: "the list"}, nil)
	env.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).Return(activities.DiscoverSecondariesResult{}, nil).Twice()
	env.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).
		Return(activities.DiscoverSecondariesResult{Targets: []activities.Target{{ID: "a"}}}, nil).Once()
	require.Equal(t, OutcomeInSync, env.run(t, CheckInput{}).Outcome)
}

// After a loss a check is for all secondaries, not only for those that were the first to join again, but waits for none for ever.
func TestCheckHealthAfterALossWaitsForAllOfTheRoster(t *testing.T) {
	first := activities.DiscoverSecondariesResult{Targets: []activities.Target{{ID: "a"}}, Missing: []string{"b"}}
	both := activities.DiscoverSecondariesResult{Targets: []activities.Target{{ID: "a"}, {ID: "b"}}}
	for name, tt := range map[string]struct {
		all   bool
		looks []activities.DiscoverSecondariesResult
		want  int
	}{
		"after a loss":        {true, []activities.DiscoverSecondariesResult{{}, first, both}, 2},
		"one that never does": {true, []activities.DiscoverSecondariesResult{first, first, first, first}, 1},
		"any other check":     {false, []activities.DiscoverSecondariesResult{first}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {right}, "b": {right}})
			env.OnActivity(scanner.SurveyZones, mock.Anything, mock.Anything).Return(activities.SurveyZonesResult{Catalogue: "the list"}, nil)
			for _, look := range tt.looks {
				env.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).Return(look, nil).Once()
			}
			require.Len(t, env.run(t, CheckInput{All: tt.all}).Secondaries, tt.want)
		})
	}
}

func TestCheckHealthTakesInTheChecksAskedForBesides(t *testing.T) {
	env := newHealthTest(t, map[string][]activities.CompareZonesResult{"a": {right}})
	env.surveying(activities.SurveyZonesResult{Zones: 9})
	result := env.run(t, CheckInput{Content: true, Signatures: true})
	require.Equal(t, []string{CheckContentType, CheckSignaturesType}, env.joined)
	require.Equal(t, "another", result.Content.RunID)
	require.Equal(t, OutcomeInSync, result.Signatures.Outcome)
}

// Neither zones nor their names go through the workflow: with the most that a
// compare tells, ten secondaries make a report that history takes with ease.
func TestCheckHealthReportIsSmall(t *testing.T) {
	full := activities.CompareZonesResult{Zones: 1_000_000, Missing: 1_000_000}
	for i := range 20 {
		full.Names = append(full.Names, fmt.Sprintf("a-rather-long-name-of-a-zone-%d.example. missing", i))
	}
	result := CheckHealthResult{}
	for i := range 10 {
		result.Secondaries = append(result.Secondaries, SecondaryHealth{ID: fmt.Sprint(i), Found: full, Left: full})
	}
	data, err := json.Marshal(result)
	require.NoError(t, err)
	require.Less(t, len(data), 64<<10)
}
