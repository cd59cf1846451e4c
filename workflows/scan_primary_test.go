package workflows

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// A scan whose turn comes before the next one of its schedule waits for it, unless somebody asks for one meanwhile.
func TestAScanWaitsForItsTurn(t *testing.T) {
	const never = -time.Hour
	for name, test := range map[string]struct {
		turn    time.Duration // after which listing may take its time again
		request string        // that comes after ten seconds, by its trigger
		after   time.Duration // is when the zones are listed; never where it is negative
	}{
		"soon":                 {turn: 30 * time.Second, after: 30 * time.Second},
		"the next one comes":   {turn: 30 * time.Second, request: TriggerScan, after: 30 * time.Second},
		"somebody asks":        {turn: 30 * time.Second, request: TriggerManual, after: 10 * time.Second},
		"after the next":       {turn: 61 * time.Second, after: never},
		"long after somebody":  {turn: 61 * time.Second, request: TriggerManual, after: never},
		"at once, as it seems": {turn: -time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			var suite testsuite.WorkflowTestSuite
			env := newEnvironment(&suite)
			env.SetStartWorkflowOptions(client.StartWorkflowOptions{ID: PrimaryScan.ID})
			env.RegisterActivity(&activities.Checks{})
			env.RegisterActivity(&activities.Scanner{})
			env.OnActivity(checks.NoteCheck, mock.Anything, mock.Anything).Return(nil)
			began, listed := env.Now(), never
			env.OnActivity(scanner.ScanZones, mock.Anything, mock.Anything).Return(func(_ context.Context, in activities.ScanZonesInput) (activities.ScanZonesResult, error) {
				if in.Paced {
					return activities.ScanZonesResult{LeftOut: began.Add(test.turn)}, nil
				}
				listed = env.Now().Sub(began)
				return activities.ScanZonesResult{Zones: 3}, nil
			})
			if test.request != "" {
				env.RegisterDelayedCallback(func() { env.SignalWorkflow(SignalCheck, CheckInput{Trigger: test.request}) }, 10*time.Second)
			}
			env.ExecuteWorkflow(ScanPrimary, CheckInput{Trigger: TriggerScan})
			require.NoError(t, env.GetWorkflowError())
			var result ScanPrimaryResult
			require.NoError(t, env.GetWorkflowResult(&result))
			require.InDelta(t, test.after, listed, float64(time.Second)/2)
			if test.after < 0 {
				require.Equal(t, OutcomeSkipped, result.Outcome)
			} else {
				require.Equal(t, 3, result.Scan.Zones)
				require.Equal(t, OutcomeInSync, result.Outcome)
			}
		})
	}
}
