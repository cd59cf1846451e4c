package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	outside "github.com/pdns-distribute/pdns-distribute/stack/client"
)

// syncStatus is what SyncZone answers to the query "status" and returns: a contract with people and scripts.
type syncStatus struct {
	Zone        string            `json:"zone"`
	Outcome     string            `json:"outcome"`
	Phase       string            `json:"phase"`
	Version     int64             `json:"version"`
	Serial      uint32            `json:"serial"`
	Deleted     bool              `json:"deleted"`
	Changes     int               `json:"changes"`
	Exports     int               `json:"exports"`
	Repaired    int               `json:"repaired"`
	Secondaries []secondaryStatus `json:"secondaries"`
	Error       string            `json:"error"`
}

type secondaryStatus struct {
	ID      string `json:"id"`
	State   string `json:"state"`
	Version int64  `json:"version"`
	Serial  uint32 `json:"serial"`
	TookMS  int64  `json:"took_ms"`
	Error   string `json:"error"`
}

func (s syncStatus) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%s): version %d serial %d deleted %t, %d changes, %d exports", s.Outcome, s.Phase, s.Version, s.Serial, s.Deleted, s.Changes, s.Exports)
	for _, h := range s.Secondaries {
		fmt.Fprintf(&b, "; %s %s serial %d %s", h.ID, h.State, h.Serial, h.Error)
	}
	if s.Error != "" {
		b.WriteString("; error: " + s.Error)
	}
	return b.String()
}

// temporal is the one connection to Temporal, as the operator.
var temporal = sync.OnceValues(func() (client.Client, error) { return dialTemporal(env) })

func dialTemporal(env map[string]string) (client.Client, error) { return outside.Temporal(env) }

// errNoWorkflow says that no workflow of this ID was ever started.
var errNoWorkflow = errors.New("no such workflow")

// status asks the newest SyncZone of the zone, running or ended, how it stands.
func status(ctx context.Context, zone string) (syncStatus, error) {
	c, err := temporal()
	if err != nil {
		return syncStatus{}, err
	}
	return statusFrom(ctx, c, zone)
}

func statusFrom(ctx context.Context, c client.Client, zone string) (syncStatus, error) {
	var s syncStatus
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	value, err := c.QueryWorkflow(ctx, "sync-zone/"+zone, "", "status")
	var missing *serviceerror.NotFound
	if errors.As(err, &missing) {
		return s, errNoWorkflow
	}
	if err != nil {
		return s, fmt.Errorf("status of the sync of %s: %w", zone, err)
	}
	return s, value.Get(&s)
}

// startByHandAfter is how long a status may fall short before a sync is started by hand.
const startByHandAfter = 5 * time.Second

// waitStatus waits until the zone's sync is as want says, and returns it. want returns a reason to go on waiting. When many
// zones change at once, they go in batches and have no sync of their own; then one is started by hand, as an operator would.
func waitStatus(t testing.TB, zone string, want func(syncStatus) error) syncStatus {
	t.Helper()
	var last syncStatus
	began := time.Now()
	until(t, soon, func() error {
		s, err := status(t.Context(), zone)
		if err == nil {
			last = s
			if err = want(s); err != nil {
				err = fmt.Errorf("%w; status: %s", err, s)
			}
		}
		if err != nil && time.Since(began) > startByHandAfter {
			began = time.Now()
			return errors.Join(err, startSync(t.Context(), zone))
		}
		return err
	})
	return last
}

// startSync starts SyncZone unless one of this zone runs.
func startSync(ctx context.Context, zone string) error {
	c, err := temporal()
	if err != nil {
		return err
	}
	_, err = c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID: "sync-zone/" + zone, TaskQueue: "pdns-distribute", WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
	}, "SyncZone", map[string]any{"zone": zone})
	return err
}

// of returns what the status says of one secondary.
func (s syncStatus) of(id string) secondaryStatus {
	i := slices.IndexFunc(s.Secondaries, func(h secondaryStatus) bool { return h.ID == id })
	if i < 0 {
		return secondaryStatus{ID: id, State: "not listed"}
	}
	return s.Secondaries[i]
}
