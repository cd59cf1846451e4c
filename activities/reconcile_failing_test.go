package activities_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// failingZone fails to make one zone, for a reason that may pass.
type failingZone struct {
	*api.Client
	zone string
}

func (f failingZone) CreateFilledZone(ctx context.Context, zone, master, account, text string, hollow bool) error {
	if zone == f.zone {
		return errors.New("500")
	}
	return f.Client.CreateFilledZone(ctx, zone, master, account, text, hollow)
}

func (f failingZone) CreateSecondaryZone(ctx context.Context, zone, master, account string) error {
	if zone == f.zone {
		return errors.New("500")
	}
	return f.Client.CreateSecondaryZone(ctx, zone, master, account)
}

// A zone that fails again and again is told of, and does not hold up the compare for ever.
func TestReconcileGivesUpAZoneThatFailsAgainAndAgain(t *testing.T) {
	f := newFlushTest(t, 0)
	bad := f.publish(1)[0]
	f.publish(2)
	f.secondary.PowerDNS = failingZone{f.Client, bad}
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivity(f.secondary.ReconcileZones)
	reconcile := func(ctx workflow.Context) (result activities.ReconcileZonesResult, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1},
		})
		for more := true; more && err == nil; more = result.Remaining > 0 {
			var piece activities.ReconcileZonesResult
			err = workflow.ExecuteActivity(ctx, f.secondary.ReconcileZones, activities.ReconcileZonesInput{Compare: "one"}).Get(ctx, &piece)
			result.Add(piece)
		}
		return result, err
	}
	env.RegisterWorkflow(reconcile)
	env.ExecuteWorkflow(reconcile)
	require.NoError(t, env.GetWorkflowError())
	var result activities.ReconcileZonesResult
	require.NoError(t, env.GetWorkflowResult(&result))
	require.Equal(t, 2, result.Applied, "%+v", result)
	require.Equal(t, []string{bad}, result.FailedZones)
	require.Contains(t, result.Reason, "500")
}
