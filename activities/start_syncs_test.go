package activities_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// failingStarter fails at one zone, and notes which ones it has taken.
type failingStarter struct {
	fails string
	taken []string
}

func (f *failingStarter) StartSync(_ context.Context, zone string, _ activities.ZonesInput) error {
	if zone == f.fails {
		return errors.New("Temporal has no time")
	}
	f.taken = append(f.taken, zone)
	return nil
}

// A further attempt asks for what the last one has not, and not for all of it again.
func TestStartingSyncsGoesOnWhereItEnded(t *testing.T) {
	starter := &failingStarter{fails: "c."}
	directory := &activities.Directory{Starter: starter}
	in := activities.ZonesInput{Zones: []string{"a.", "b.", "c.", "d."}}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(directory)
	var progress map[string]int
	env.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		require.NoError(t, details.Get(&progress))
	})
	_, err := env.ExecuteActivity(directory.StartSyncs, in)
	require.ErrorContains(t, err, "zone c.")
	require.Equal(t, []string{"a.", "b."}, starter.taken)
	require.Equal(t, map[string]int{"done": 2, "total": 4}, progress)

	starter.fails = ""
	env.SetHeartbeatDetails(progress)
	_, err = env.ExecuteActivity(directory.StartSyncs, in)
	require.NoError(t, err)
	require.Equal(t, []string{"a.", "b.", "c.", "d."}, starter.taken)
}
