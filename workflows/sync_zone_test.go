package workflows

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

var testTiming = activities.Timing{MinInterval: 50 * time.Millisecond, EventCheckWait: 20 * time.Second, MaxLag: time.Minute}

// syncTest is one SyncZone over activities whose faults a test chooses: what
// real servers cannot be made to show at a chosen moment.
type syncTest struct {
	*testsuite.TestWorkflowEnvironment
	t       *testing.T
	exports atomic.Int64
}

func newSyncTest(t *testing.T, ids ...string) *syncTest {
	t.Helper()
	env := newUnlistedTest(t)
	var targets []activities.Target
	for _, id := range ids {
		targets = append(targets, activities.Target{ID: id, DNSAddress: "127.0.0.1:53", Reachable: true})
	}
	env.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).
		Return(activities.DiscoverSecondariesResult{Targets: targets}, nil).Maybe()
	return env
}

// newUnlistedTest leaves it to the test which secondaries are found.
func newUnlistedTest(t *testing.T) *syncTest {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := &syncTest{t: t, TestWorkflowEnvironment: newEnvironment(&suite)}
	env.RegisterWorkflow(SyncZone)
	env.RegisterActivity(&activities.Primary{})
	env.RegisterActivity(&activities.Directory{})
	env.RegisterActivity(&activities.Verifier{})
	env.RegisterActivity(&activities.Secondary{})
	return env
}

// exporting makes every export publish a new version.
func (e *syncTest) exporting() {
	e.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			<-time.After(in.Pause) // as the activity does
			n := e.exports.Add(1)
			return published(in.Zone, n), nil
		}).Maybe()
}

func published(zone string, n int64) activities.ExportZoneResult {
	return activities.ExportZoneResult{
		Outcome: activities.ExportPublished, Primary: "primary-1", Revision: uint64(n), Timing: testTiming,
		Version: pdns.Version{Zone: zone, Version: n, Serial: uint32(n), Records: 5, Publisher: "primary-1"},
	}
}

// applying makes every secondary serve what it is asked for.
func (e *syncTest) applying() {
	e.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).Return(applied).Maybe()
}

// applyingBut makes every secondary serve what it is asked for, and one of them only where fails returns nil.
func (e *syncTest) applyingBut(id string, fails func() error) {
	e.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).Return(
		func(ctx context.Context, in activities.ApplyZoneInput) (activities.ApplyZoneResult, error) {
			if activity.GetInfo(ctx).TaskQueue == SecondaryHostQueue(id) {
				if err := fails(); err != nil {
					return activities.ApplyZoneResult{}, err
				}
			}
			return applied(ctx, in)
		})
}

func applied(_ context.Context, in activities.ApplyZoneInput) (activities.ApplyZoneResult, error) {
	return activities.ApplyZoneResult{Outcome: activities.AppliedNow, Version: in.Version, Serial: uint32(in.Version)}, nil
}

// serving makes every check from outside find state.
func (e *syncTest) serving(state pdns.ServedState) *testsuite.MockCallWrapper {
	return e.OnActivity(verifier.VerifyZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.VerifyZoneInput) (activities.VerifyZoneResult, error) {
			var result activities.VerifyZoneResult
			for _, target := range in.Targets {
				result.Served = append(result.Served, activities.Served{Secondary: target.ID, State: state})
			}
			return result, nil
		})
}

func (e *syncTest) run(t *testing.T, in SyncZoneInput) SyncZoneResult {
	t.Helper()
	e.ExecuteWorkflow(SyncZone, in)
	require.True(t, e.IsWorkflowCompleted())
	require.NoError(t, e.GetWorkflowError())
	var result SyncZoneResult
	require.NoError(t, e.GetWorkflowResult(&result))
	return result
}

// continued returns what the next run takes over.
func (e *syncTest) continued(t *testing.T) SyncZoneCarried {
	t.Helper()
	e.ExecuteWorkflow(SyncZone, SyncZoneInput{Zone: "example.org.", Trigger: TriggerEvent})
	in, _ := handedOn[SyncZoneInput](t, e)
	require.NotNil(t, in.Carried)
	return *in.Carried
}

func TestSyncZoneReachesEverySecondary(t *testing.T) {
	env := newSyncTest(t, "a", "b")
	env.exporting()
	env.applying()
	env.serving(pdns.ServedCurrent).Once()
	result := env.run(t, SyncZoneInput{Zone: "Example.ORG", Trigger: TriggerEvent})
	require.Equal(t, "example.org.", result.Zone)
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Equal(t, 1, result.Exports)
	require.Len(t, result.Secondaries, 2)
	require.Empty(t, result.Phase)
	env.AssertExpectations(t)
}

func TestSyncZoneSharesExports(t *testing.T) {
	env := newSyncTest(t, "a")
	env.exporting()
	env.applying()
	env.serving(pdns.ServedCurrent)
	for i := range 40 {
		env.RegisterDelayedCallback(func() {
			env.SignalWorkflow(SignalZoneChanged, ZoneChange{ChangeID: fmt.Sprint(i)})
		}, time.Duration(i)*5*time.Millisecond)
	}
	env.SetOnTimerScheduledListener(func(_ string, duration time.Duration) {
		require.Greater(t, duration, shortestTimer, "Temporal may fire a short timer a second late")
	})
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, 40, result.Changes)
	require.LessOrEqual(t, result.Exports, 20, "40 changes 5 ms apart share exports 50 ms apart; a busy machine stretches their distance")
	require.EqualValues(t, result.Exports, result.Version)
	require.Equal(t, result.Version, result.Secondaries[0].Version, "the last export reached the secondary")
}

func TestSyncZoneExportsAgainForWhatArrivesDuringAnExport(t *testing.T) {
	env := newSyncTest(t, "a")
	env.applying()
	env.serving(pdns.ServedCurrent)
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			if in.Local {
				return activities.ExportZoneResult{Outcome: activities.ExportElsewhere, Timing: testTiming}, nil
			}
			n := env.exports.Add(1)
			if n == 1 {
				env.SignalWorkflow(SignalZoneChanged, ZoneChange{})
			}
			return published(in.Zone, n), nil
		})
	require.Equal(t, 2, env.run(t, SyncZoneInput{Zone: "example.org."}).Exports)
}

func TestSyncZoneLaggingSecondaryHoldsUpNobody(t *testing.T) {
	env := newSyncTest(t, "dead", "fine")
	env.exporting()
	env.applyingBut("dead", func() error { return errors.New("connection refused") })
	env.serving(pdns.ServedCurrent)
	var lastVersion int64
	for i := range 5 {
		env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalZoneChanged, ZoneChange{}) }, time.Duration(1+i)*time.Second)
	}
	env.RegisterDelayedCallback(func() {
		value, err := env.QueryWorkflow(QueryStatus)
		require.NoError(t, err)
		var status SyncZoneResult
		require.NoError(t, value.Get(&status))
		require.Equal(t, StatePending, status.Secondaries[0].State, "dead is still being tried")
		require.Equal(t, StateInSync, status.Secondaries[1].State)
		lastVersion = status.Secondaries[1].Version
	}, 10*time.Second)
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.EqualValues(t, 6, lastVersion, "the other one has the last change while dead is tried")
	require.Equal(t, OutcomePartial, result.Outcome)
	require.Equal(t, StateLagging, result.Secondaries[0].State)
	require.Contains(t, result.Secondaries[0].Error, "connection refused")
}

func TestSyncZoneWithoutSecondariesIsNoSuccess(t *testing.T) {
	env := newSyncTest(t)
	env.exporting()
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomeFailed, result.Outcome)
	require.Contains(t, result.Error, "roster is empty")
}

func TestSyncZoneAsksEveryPrimaryBeforeATombstone(t *testing.T) {
	gone := activities.ExportZoneResult{
		Outcome: activities.ExportGone, Primary: "primary-1", Revision: 7, Peers: []string{"primary-2"}, Timing: testTiming,
		Version: pdns.Version{Zone: "example.org.", Version: 5, Serial: 5},
	}
	t.Run("they agree", func(t *testing.T) {
		env := newSyncTest(t, "a")
		env.applying()
		env.serving(pdns.ServedCurrent)
		env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(gone, nil)
		env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{Gone: true}, nil).Once()
		env.OnActivity(primary.PublishTombstone, mock.Anything, activities.PublishTombstoneInput{Zone: "example.org.", Revision: 7, Primary: "primary-1"}).
			Return(activities.ExportZoneResult{Outcome: activities.ExportPublished, Timing: testTiming, Version: pdns.Version{Zone: "example.org.", Version: 6, Deleted: true}}, nil).Once()
		result := env.run(t, SyncZoneInput{Zone: "example.org."})
		require.True(t, result.Deleted)
		require.Equal(t, OutcomeInSync, result.Outcome)
		env.AssertExpectations(t)
	})
	t.Run("one still holds it, then not", func(t *testing.T) {
		env := newSyncTest(t, "a")
		env.applying()
		env.serving(pdns.ServedCurrent)
		env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(gone, nil)
		env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{}, nil).Times(3)
		env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{Gone: true}, nil).Once()
		env.OnActivity(primary.PublishTombstone, mock.Anything, mock.Anything).
			Return(activities.ExportZoneResult{Outcome: activities.ExportPublished, Timing: testTiming, Version: pdns.Version{Zone: "example.org.", Version: 6, Deleted: true}}, nil).Once()
		require.True(t, env.run(t, SyncZoneInput{Zone: "example.org."}).Deleted)
	})
	t.Run("it was made again meanwhile", func(t *testing.T) {
		env := newSyncTest(t, "a")
		env.applying()
		env.serving(pdns.ServedCurrent)
		env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(gone, nil).Once()
		env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{Gone: true}, nil).Once()
		listed := gone
		listed.Reason = "it is listed"
		env.OnActivity(primary.PublishTombstone, mock.Anything, mock.Anything).Return(listed, nil).Once()
		env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).
			Return(activities.ExportZoneResult{Outcome: activities.ExportPublished, Timing: testTiming, Version: pdns.Version{Zone: "example.org.", Version: 8, Serial: 1}}, nil)
		result := env.run(t, SyncZoneInput{Zone: "example.org."})
		require.EqualValues(t, 8, result.Version)
		require.Equal(t, OutcomeInSync, result.Outcome)
	})
	t.Run("one is absent for max_lag", func(t *testing.T) {
		env := newSyncTest(t, "a")
		env.applying()
		env.serving(pdns.ServedCurrent)
		start := env.Now()
		var after time.Duration
		env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(gone, nil)
		env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{},
			temporal.NewNonRetryableApplicationError("down", "Down", nil))
		env.OnActivity(primary.PublishTombstone, mock.Anything, mock.Anything).Return(
			func(context.Context, activities.PublishTombstoneInput) (activities.ExportZoneResult, error) {
				after = env.Now().Sub(start)
				return activities.ExportZoneResult{Outcome: activities.ExportPublished, Timing: testTiming, Version: pdns.Version{Zone: "example.org.", Version: 6, Deleted: true}}, nil
			}).Once()
		require.True(t, env.run(t, SyncZoneInput{Zone: "example.org."}).Deleted)
		require.GreaterOrEqual(t, after, time.Minute)
	})
}

func TestSyncZoneFallsBackToAnotherPrimary(t *testing.T) {
	env := newSyncTest(t, "a")
	env.applying()
	env.serving(pdns.ServedCurrent)
	var asked []string
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			switch {
			case in.Local:
				return activities.ExportZoneResult{Outcome: activities.ExportElsewhere, Timing: testTiming}, nil
			case in.Primary == "primary-1":
				asked = append(asked, in.Primary)
				return activities.ExportZoneResult{}, fmt.Errorf("connection refused")
			}
			return published(in.Zone, 1), nil
		})
	result := env.run(t, SyncZoneInput{Zone: "example.org.", Primary: "primary-1"})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.NotEmpty(t, asked, "the primary that took the change is asked first")
}

func TestSyncZoneRefusesABadName(t *testing.T) {
	env := newSyncTest(t)
	env.ExecuteWorkflow(SyncZone, SyncZoneInput{Zone: "a..b"})
	require.ErrorContains(t, env.GetWorkflowError(), `SyncZone needs {"zone":"example.org."}`)
}

func TestSyncZoneEndsHeld(t *testing.T) {
	env := newSyncTest(t, "a")
	env.serving(pdns.ServedCurrent)
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			env.exports.Add(1)
			held := published(in.Zone, 5)
			held.Outcome, held.Reason = activities.ExportHeld, "ask somebody"
			return held, nil
		})
	env.OnActivity(secondary.ApplyZone, mock.Anything, mock.Anything).Return(activities.ApplyZoneResult{},
		temporal.NewNonRetryableApplicationError("newer", activities.ErrTypeNewerApplied, nil, int64(1000)))
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomeHeld, result.Outcome)
	require.Contains(t, result.Error, "ask somebody")
	require.EqualValues(t, 5, result.Version, "what was published before is what the secondaries shall have")
	require.EqualValues(t, 1, env.exports.Load(), "another export would find the same")
}

// What an API call asked for counts for the export that answers it, and no other.
func TestSyncZoneTellsTheGuardWhatAnAPICallAskedFor(t *testing.T) {
	gone := activities.ExportZoneResult{
		Outcome: activities.ExportGone, Revision: 7, Peers: []string{"primary-2"}, Timing: testTiming,
		Version: pdns.Version{Zone: "example.org.", Version: 5},
	}
	env := newSyncTest(t, "a")
	env.applying()
	env.serving(pdns.ServedCurrent).Maybe()
	var told []pdns.Proxied
	env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			told = append(told, in.Proxied)
			if len(told) <= 2 {
				return gone, nil
			}
			return published(in.Zone, 9), nil
		})
	env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{}, nil).Once()
	env.OnActivity(primary.ConfirmGone, mock.Anything, mock.Anything).Return(activities.ConfirmGoneResult{Gone: true}, nil).Once()
	env.OnActivity(primary.PublishTombstone, mock.Anything, activities.PublishTombstoneInput{Zone: "example.org.", Revision: 7, Proxied: pdns.ProxiedDelete}).
		Return(activities.ExportZoneResult{Outcome: activities.ExportPublished, Timing: testTiming, Version: pdns.Version{Zone: "example.org.", Version: 6, Deleted: true}}, nil).Once()
	env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalZoneChanged, ZoneChange{}) }, 10*time.Second)
	env.run(t, SyncZoneInput{Zone: "example.org.", Proxied: pdns.ProxiedDelete})
	require.Equal(t, []pdns.Proxied{pdns.ProxiedDelete, pdns.ProxiedDelete, pdns.NotProxied}, told)
	env.AssertExpectations(t)
}
