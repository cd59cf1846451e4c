package workflows

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// leaving lists two secondaries, and only the second one from a moment on, when the zone changes.
func (e *syncTest) leaving(leaves, stays string, after time.Duration) {
	var gone atomic.Bool
	e.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.DiscoverSecondariesInput) (activities.DiscoverSecondariesResult, error) {
			targets := []activities.Target{{ID: leaves}, {ID: stays}}
			if gone.Load() {
				targets = targets[1:]
			}
			return activities.DiscoverSecondariesResult{Targets: targets}, nil
		})
	e.RegisterDelayedCallback(func() {
		gone.Store(true)
		e.SignalWorkflow(SignalZoneChanged, ZoneChange{})
	}, after)
}

func TestSyncZoneWaitsForTheSecondariesToBeListed(t *testing.T) {
	env := newUnlistedTest(t)
	env.exporting()
	env.applying()
	env.serving(pdns.ServedCurrent)
	start := env.Now()
	env.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).Return(
		func(context.Context, activities.DiscoverSecondariesInput) (activities.DiscoverSecondariesResult, error) {
			if env.Now().Sub(start) < time.Hour {
				return activities.DiscoverSecondariesResult{}, errors.New("no roster")
			}
			return activities.DiscoverSecondariesResult{Targets: []activities.Target{{ID: "a"}}}, nil
		})
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Greater(t, result.Exports, 1, "changes are exported meanwhile")
}

// A secondary that joins while a large zone is exported, or any for long, compares itself with the version before: it gets the
// new one too.
func TestSyncZoneListsTheSecondariesAgain(t *testing.T) {
	large := published("example.org.", 5)
	large.Version.Object = "large"
	for name, test := range map[string]struct {
		takes  time.Duration
		result activities.ExportZoneResult
		listed int
	}{
		"after a long export":           {longExport, published("example.org.", 5), 2},
		"after the export of large one": {0, large, 2},
		"not after others":              {0, published("example.org.", 5), 1},
	} {
		t.Run(name, func(t *testing.T) {
			env := newUnlistedTest(t)
			env.applying()
			env.serving(pdns.ServedCurrent)
			env.OnActivity(primary.ExportZone, mock.Anything, mock.MatchedBy(func(in activities.ExportZoneInput) bool { return in.Local })).
				Return(activities.ExportZoneResult{Outcome: activities.ExportElsewhere}, nil)
			env.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).After(test.takes).Return(test.result, nil)
			var lists atomic.Int64
			env.OnActivity(directory.DiscoverSecondaries, mock.Anything, mock.Anything).Return(
				func(context.Context, activities.DiscoverSecondariesInput) (activities.DiscoverSecondariesResult, error) {
					targets := []activities.Target{{ID: "a"}, {ID: "b"}}
					return activities.DiscoverSecondariesResult{Targets: targets[:min(lists.Add(1), 2)]}, nil
				})
			result := env.run(t, SyncZoneInput{Zone: "example.org."})
			require.Len(t, result.Secondaries, test.listed)
			require.Equal(t, StateInSync, result.Secondaries[test.listed-1].State)
			require.Equal(t, 1, result.Exports)
		})
	}
}

// One of two that the check from outside found wrong is forgotten while the other one is repaired.
func TestSyncZoneIsNotUpsetByWhoLeavesDuringARepair(t *testing.T) {
	env := newUnlistedTest(t)
	env.exporting()
	var looks atomic.Int64
	env.OnActivity(verifier.VerifyZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.VerifyZoneInput) (activities.VerifyZoneResult, error) {
			state := pdns.ServedCurrent
			if looks.Add(1) == 1 {
				state = pdns.ServedOutdated
			}
			var result activities.VerifyZoneResult
			for _, target := range in.Targets {
				result.Served = append(result.Served, activities.Served{Secondary: target.ID, State: state})
			}
			return result, nil
		})
	began := env.Now()
	var applies atomic.Int64
	env.applyingBut("slow", func() error {
		if applies.Add(1) > 1 && env.Now().Before(began.Add(time.Minute)) {
			return errors.New("not yet")
		}
		return nil
	})
	env.leaving("left", "slow", testTiming.EventCheckWait+5*time.Second)
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, 2, result.Repaired)
	require.NotEmpty(t, result.Secondaries)
}

// A secondary that was forgotten meanwhile is not told of any more.
func TestSyncZoneForgetsWhoLeftTheRoster(t *testing.T) {
	env := newUnlistedTest(t)
	env.exporting()
	env.serving(pdns.ServedCurrent)
	env.applyingBut("dead", func() error {
		return temporal.NewNonRetryableApplicationError("it is dead", activities.ErrTypeBadInput, nil)
	})
	env.leaving("dead", "fine", 10*time.Second)
	result := env.run(t, SyncZoneInput{Zone: "example.org."})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Len(t, result.Secondaries, 1)
}
