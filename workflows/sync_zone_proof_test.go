package workflows

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// exportingDeltas makes an export for changes return a version that is unproven,
// and one that reads the whole zone what proof says. It notes which were asked for.
func (e *syncTest) exportingDeltas(proof func(n int64) (activities.ExportZoneResult, error)) *[]string {
	var asked []string
	e.OnActivity(primary.ExportZone, mock.Anything, mock.Anything).Return(
		func(_ context.Context, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
			if len(in.Changes) > 0 {
				asked = append(asked, "delta")
				result := published(in.Zone, e.exports.Add(1))
				result.Unproven = true
				return result, nil
			}
			asked = append(asked, "whole")
			return proof(e.exports.Load())
		})
	return &asked
}

// changing starts the sync of a change that is known by its ID.
func (e *syncTest) changing(ids ...string) {
	for i, id := range ids {
		e.RegisterDelayedCallback(func() { e.SignalWorkflow(SignalZoneChanged, ZoneChange{ChangeID: id}) }, time.Duration(i)*10*time.Second)
	}
}

// What was published without a look at the whole zone is proven before the check
// from outside.
func TestSyncZoneHasADeltaProven(t *testing.T) {
	for name, c := range map[string]struct {
		proof   func(n int64) (activities.ExportZoneResult, error)
		version int64
	}{
		"as it was": {func(n int64) (activities.ExportZoneResult, error) {
			result := published("example.org.", n)
			result.Outcome = activities.ExportUnchanged
			return result, nil
		}, 2},
		"replaced": {func(n int64) (activities.ExportZoneResult, error) { return published("example.org.", n+1), nil }, 3},
	} {
		t.Run(name, func(t *testing.T) {
			env := newSyncTest(t, "a")
			asked := env.exportingDeltas(c.proof)
			env.applying()
			env.serving(pdns.ServedCurrent).Run(func(args mock.Arguments) {
				in, _ := args.Get(1).(activities.VerifyZoneInput)
				require.Equal(t, c.version, in.Version.Version)
				*asked = append(*asked, "check")
			})
			env.changing("1", "2")
			result := env.run(t, SyncZoneInput{Zone: "example.org.", Trigger: TriggerEvent})
			require.Equal(t, OutcomeInSync, result.Outcome)
			require.Equal(t, c.version, result.Version)
			require.Equal(t, []string{"delta", "delta", "whole", "check"}, *asked)
		})
	}
}

// A proof that fails is retried as any export is; one that settles nothing is asked
// for once a version.
func TestSyncZoneRetriesAProof(t *testing.T) {
	env := newSyncTest(t, "a")
	tries := 0
	asked := env.exportingDeltas(func(n int64) (activities.ExportZoneResult, error) {
		if tries++; tries < 8 {
			return activities.ExportZoneResult{}, errors.New("another version was published meanwhile")
		}
		result := published("example.org.", n)
		result.Outcome = activities.ExportUnchanged
		return result, nil
	})
	env.applying()
	env.serving(pdns.ServedCurrent).Once()
	env.changing("1")
	result := env.run(t, SyncZoneInput{Zone: "example.org.", Trigger: TriggerEvent})
	require.Equal(t, OutcomeInSync, result.Outcome)
	require.Len(t, *asked, 1+8)

	env = newSyncTest(t, "a")
	asked = env.exportingDeltas(func(n int64) (activities.ExportZoneResult, error) {
		result := published("example.org.", n)
		result.Unproven = true
		return result, nil
	})
	env.applying()
	env.serving(pdns.ServedCurrent).Once()
	env.changing("1")
	env.run(t, SyncZoneInput{Zone: "example.org.", Trigger: TriggerEvent})
	require.Equal(t, []string{"delta", "whole"}, *asked)
}

// Also with nobody to sync to.
func TestSyncZoneHasADeltaProvenWithoutSecondaries(t *testing.T) {
	env := newSyncTest(t)
	asked := env.exportingDeltas(func(n int64) (activities.ExportZoneResult, error) { return published("example.org.", n), nil })
	env.changing("1")
	env.run(t, SyncZoneInput{Zone: "example.org.", Trigger: TriggerEvent})
	require.Equal(t, []string{"delta", "whole"}, *asked)
}
