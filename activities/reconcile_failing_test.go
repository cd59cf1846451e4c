package activities_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
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

// failingZones fails to make any of some zones, and takes its time.
type failingZones struct {
	*api.Client
	zones []string
}

func (f failingZones) CreateFilledZone(ctx context.Context, zone, master, account, text string, hollow bool) error {
	if slices.Contains(f.zones, zone) {
		return errors.New("500")
	}
	return f.Client.CreateFilledZone(ctx, zone, master, account, text, hollow)
}

func (f failingZones) CreateSecondaryZone(ctx context.Context, zone, master, account string) error {
	if slices.Contains(f.zones, zone) {
		time.Sleep(50 * time.Millisecond)
		return errors.New("500")
	}
	return f.Client.CreateSecondaryZone(ctx, zone, master, account)
}

// holding fails to take over any zone.
type holding struct{ activities.ForeignZones }

func (holding) TakeOverZone(context.Context, api.Zone, string, string) error {
	return errors.New("500")
}

// A zone that fails again and again is told of, and does not hold up the compare for ever.
func TestReconcileGivesUpAZoneThatFailsAgainAndAgain(t *testing.T) {
	f := newFlushTest(t, 0)
	bad := f.publish(1)[0]
	f.publish(2)
	f.secondary.PowerDNS = failingZone{f.Client, bad}
	result := reconcileWhole(t, f.secondary, activities.ReconcileZonesInput{Compare: "one"})
	require.Equal(t, 2, result.Applied, "%+v", result)
	require.Equal(t, []string{bad}, result.FailedZones)
	require.Contains(t, result.Reason, "500")
}

// Nor do more of them than one piece of the compare can begin.
func TestReconcileGivesUpManyZonesThatFailSlowly(t *testing.T) {
	f := newFlushTest(t, 0)
	bad := f.publish(20)
	f.publish(5)
	f.secondary.PowerDNS = failingZones{f.Client, bad}
	result := reconcileWhole(t, f.secondary, activities.ReconcileZonesInput{Compare: "one", Within: time.Millisecond})
	require.Equal(t, 5, result.Applied, "%+v", result)
	require.Equal(t, 20, result.Failed)
	require.ElementsMatch(t, bad, result.FailedZones)
	require.Contains(t, result.Reason, "500")
}

// Nor does one beside another that can never be held.
func TestReconcileGivesUpAZoneBesideARefusedOne(t *testing.T) {
	f := newFlushTest(t, 0)
	bad := f.publish(2)
	f.publish(2)
	f.secondary.PowerDNS = refusedZone{failingZone{f.Client, bad[0]}, bad[1]}
	result := reconcileWhole(t, f.secondary, activities.ReconcileZonesInput{Compare: "one"})
	require.Equal(t, 2, result.Applied, "%+v", result)
	require.Equal(t, 2, result.Failed)
	require.ElementsMatch(t, bad, result.FailedZones)
}

// refusedZone refuses to make one zone, for a reason that stays.
type refusedZone struct {
	failingZone
	refused string
}

func (r refusedZone) CreateFilledZone(ctx context.Context, zone, master, account, text string, hollow bool) error {
	if zone == r.refused {
		return &api.Error{Status: http.StatusUnprocessableEntity}
	}
	return r.failingZone.CreateFilledZone(ctx, zone, master, account, text, hollow)
}

func (r refusedZone) CreateSecondaryZone(ctx context.Context, zone, master, account string) error {
	if zone == r.refused {
		return &api.Error{Status: http.StatusUnprocessableEntity}
	}
	return r.failingZone.CreateSecondaryZone(ctx, zone, master, account)
}

// Nor does one that cannot be taken over.
func TestReconcileGivesUpAZoneThatCannotBeTakenOver(t *testing.T) {
	f := newFlushTest(t, 0)
	theirs := f.publish(1)[0]
	callSecondary(t, http.MethodPost, "/zones", map[string]any{"name": theirs, "kind": "Native", "nameservers": []string{"theirs." + theirs}})
	f.publish(2)
	f.secondary.Foreign = holding{f.secondary.Foreign}
	result := reconcileWhole(t, f.secondary, activities.ReconcileZonesInput{Compare: "one", AdoptAll: true})
	require.Equal(t, 2, result.Applied, "%+v", result)
	require.Zero(t, result.Adopted)
	require.Equal(t, []string{theirs}, result.FailedZones)
	require.Equal(t, []string{theirs}, result.ForeignZones)
	require.Contains(t, result.Reason, "500")
}

// reconcileWhole compares in full as ReconcileSecondary does, piece by piece, each as often as it fails.
func reconcileWhole(t *testing.T, s *activities.Secondary, in activities.ReconcileZonesInput) (result activities.ReconcileZonesResult) {
	t.Helper()
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.SetTestTimeout(time.Minute)
	env.RegisterActivity(s.ReconcileZones)
	reconcile := func(ctx workflow.Context) (result activities.ReconcileZonesResult, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute, RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 1},
		})
		for more := true; more && err == nil; more = result.Remaining > 0 {
			var piece activities.ReconcileZonesResult
			err = workflow.ExecuteActivity(ctx, s.ReconcileZones, in).Get(ctx, &piece)
			result.Add(piece)
		}
		return result, err
	}
	env.RegisterWorkflow(reconcile)
	env.ExecuteWorkflow(reconcile)
	require.NoError(t, env.GetWorkflowError())
	require.NoError(t, env.GetWorkflowResult(&result))
	return result
}
