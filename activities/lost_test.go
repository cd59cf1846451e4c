package activities_test

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const lostZone = "lost.example."

// A tombstone that NATS loses before it is applied is published again, above the lost one, although nothing else tells
// that the zone was ever there.
func TestATombstoneThatNATSLosesIsPublishedAgain(t *testing.T) {
	h := newHosts(t)
	lost := h.loseTombstone(t)
	_, err := applyAsSync(h.secondary, lost)
	mustBeExportedAbove(t, err, lost, "NATS has lost that")

	again, err := export(h.primary, activities.ExportZoneInput{Zone: lostZone, Above: lost, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, again.Outcome)
	require.True(t, again.Version.Deleted)
	require.Greater(t, again.Version.Version, lost)
	applied, err := applyAsSync(h.secondary, again.Version.Version)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedDelete, applied.Outcome)
}

// A batch does not take it for in sync: it is tried again, and at last the zone is left to a sync of its own.
func TestABatchWhoseVersionsNATSLoses(t *testing.T) {
	h := newHosts(t)
	lost := h.loseTombstone(t)
	_, err := run[activities.ZonesResult](h.secondary, h.secondary.ApplyZones, activities.ZonesInput{
		Zones: []string{lostZone}, Versions: map[string]int64{lostZone: lost},
	})
	require.ErrorContains(t, err, "NATS shows version 0")
}

// An answer from before a version, as a leader gives that was cut off, is asked for again.
func TestAnAnswerFromBeforeIsAskedForAgain(t *testing.T) {
	h := newHosts(t)
	exported := h.publishLostZone(t)
	stale := &staleVersions{Subscriber: h.secondary.Versions}
	stale.left.Store(2)
	h.secondary.Versions = stale
	applied, err := applyAsSync(h.secondary, exported)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedNow, applied.Outcome)
	require.Negative(t, stale.left.Load())
}

// Who deletes a zone wants it gone everywhere, whatever is known of it: NATS may just have lost that.
func TestADeletedZoneOfWhichNothingIsPublished(t *testing.T) {
	h := newHosts(t)
	unknown, err := export(h.primary, activities.ExportZoneInput{Zone: lostZone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportUnknown, unknown.Outcome)
	deleted, err := export(h.primary, activities.ExportZoneInput{Zone: lostZone, Proxied: pdns.ProxiedDelete, Local: true})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, deleted.Outcome)
	require.True(t, deleted.Version.Deleted)
}

// publishLostZone makes the zone and returns the version that is published of it.
func (h hosts) publishLostZone(t *testing.T) (version int64) {
	t.Helper()
	makeZone(t, lostZone)
	exported, err := export(h.primary, activities.ExportZoneInput{Zone: lostZone})
	require.NoError(t, err)
	return exported.Version.Version
}

// loseTombstone has the secondary serve the zone, deletes it, and loses all that is published of it just after its tombstone, whose
// version it returns.
func (h hosts) loseTombstone(t *testing.T) (version int64) {
	t.Helper()
	h.publishLostZone(t)
	_, err := apply(h.secondary, lostZone)
	require.NoError(t, err)
	call(t, http.MethodDelete, "/zones/"+lostZone, nil)
	deleted, err := export(h.primary, activities.ExportZoneInput{Zone: lostZone, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.True(t, deleted.Version.Deleted)
	zones, err := h.js.KeyValue(t.Context(), broker.BucketZones)
	require.NoError(t, err)
	require.NoError(t, zones.Purge(t.Context(), pdns.ZoneKey(lostZone)))
	return deleted.Version.Version
}

// staleVersions has nothing at first.
type staleVersions struct {
	activities.Subscriber
	left atomic.Int32
}

func (s *staleVersions) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	if s.left.Add(-1) >= 0 {
		return pdns.Version{}, nil, pdns.ErrNoVersion
	}
	return s.Subscriber.Fetch(ctx, zone)
}

// applyAsSync runs ApplyZone as a sync does that has published a version, again and again for as long as that is worth it.
func applyAsSync(s *activities.Secondary, version int64) (result activities.ApplyZoneResult, err error) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestWorkflowEnvironment()
	env.RegisterActivity(s)
	env.ExecuteWorkflow(func(ctx workflow.Context) (result activities.ApplyZoneResult, err error) {
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: time.Minute,
			RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, MaximumAttempts: 100},
		})
		in := activities.ApplyZoneInput{Zone: lostZone, Version: version}
		return result, workflow.ExecuteActivity(ctx, s.ApplyZone, in).Get(ctx, &result)
	})
	if err := env.GetWorkflowError(); err != nil {
		return result, err
	}
	return result, env.GetWorkflowResult(&result)
}
