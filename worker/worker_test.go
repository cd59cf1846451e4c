package worker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/applied"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/guard"
	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
	"github.com/pdns-distribute/pdns-distribute/triggers/dispatch"
	"github.com/pdns-distribute/pdns-distribute/triggers/upkeep"
	"github.com/pdns-distribute/pdns-distribute/worker"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// fixed shows activities who is reachable and that there is one primary.
type fixed map[string]bool

func (f fixed) Reachable(context.Context) (map[string]bool, error) { return f, nil }
func (f fixed) OtherPrimaries(context.Context) ([]string, error)   { return nil, nil }
func always(context.Context) error                                 { return nil }
func nothing()                                                     {}
func firstOf(list string) string                                   { return strings.Split(list, ",")[0] }

type starter struct{ dispatcher *dispatch.Dispatcher }

func (s starter) StartSync(ctx context.Context, zone string, in activities.ZonesInput) error {
	return s.dispatcher.SyncZone(ctx, workflows.SyncZoneInput{Zone: zone, Primary: in.Primary, Proxied: in.Proxied},
		workflows.ZoneChange{Primary: in.Primary, Taken: in.Taken, Proxied: in.Proxied})
}

func (s starter) AnnounceHold(ctx context.Context, hold string) error {
	return s.dispatcher.AnnounceHold(ctx, hold)
}

func (s starter) StartApproved(ctx context.Context, batch string, zones []string) error {
	return s.dispatcher.SyncZones(ctx, batch, workflows.SyncZonesInput{Zones: zones, Trigger: workflows.TriggerApproval})
}

func temporalClient(t testing.TB, s *stacktest.Stack, role string) client.Client {
	t.Helper()
	c, err := temporal.Dial(t.Context(), temporal.Config{
		Address: s.Env("TEMPORAL_ADDRESS"), Namespace: s.Env("TEMPORAL_NAMESPACE"),
		TLS: tlsconf.Files{CA: s.Env("TEMPORAL_TLS_CA"), Cert: filepath.Join(s.Dir(), "pki", role+".crt"), Key: filepath.Join(s.Dir(), "pki", role+".key"), ServerName: "localhost"},
	}, quiet)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// system is the workers of a primary and a secondary in this process, over real
// servers.
type system struct {
	stack      *stacktest.Stack
	temporal   client.Client
	dispatcher *dispatch.Dispatcher
	versions   *versions.Store
	ahead      *activities.Ahead
}

func newSystem(t *testing.T) system {
	t.Helper()
	s := stacktest.Start(t, "nats", "temporal", "pdns-primary", "pdns-secondary-1")
	js := brokertest.Fresh(t, s)
	store, entries, memory := versions.New(js), roster.New(js), guard.New(js)
	primaryTemporal := temporalClient(t, s, "primary")
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{}, 16)
	running := 0
	background := func(run func()) {
		running++
		go func() { run(); ended <- struct{}{} }()
	}
	t.Cleanup(func() {
		cancel()
		for range running {
			<-ended
		}
	})
	keep := upkeep.New(upkeep.Upkeep{
		JetStream: js, Broker: brokertest.Config(s, "primary"), Temporal: primaryTemporal, Namespace: s.Env("TEMPORAL_NAMESPACE"), Versions: store, Logger: quiet,
	})
	background(func() { keep.Run(ctx) })
	dns := &query.Client{}
	secondaryDNS := firstOf(s.Env("DNS_SECONDARIES"))
	server, err := transfer.NewServer("127.0.0.1:0", query.Local{Client: dns, Server: secondaryDNS}, quiet)
	require.NoError(t, err)
	background(func() { _ = server.Run(ctx) })
	state, err := applied.Open(t.TempDir(), quiet)
	require.NoError(t, err)
	t.Cleanup(func() { _ = state.Close() })
	require.NoError(t, entries.Join(ctx, pdns.Secondary{ID: "secondary-1", DNSAddress: secondaryDNS}))

	dispatcher := &dispatch.Dispatcher{Client: primaryTemporal}
	mirror, powerdns := versions.NewMirror(js), api.New(s.Env("PRIMARY_API_URL"), s.Env("API_KEY"))
	roles := worker.Primary{
		Client: primaryTemporal, Logger: quiet, Verifier: &activities.Verifier{DNS: dns, Versions: store},
		Directory: &activities.Directory{Roster: entries, Presence: fixed{"secondary-1": true}, Starter: starter{dispatcher}},
		Activity: &activities.Primary{
			ID: "primary-1", DNSAddress: s.Env("DNS_PRIMARY"), PowerDNS: powerdns, Source: powerdns, Absence: dns,
			Versions: store, Peers: fixed{}, SpoolDir: t.TempDir(),
			Guard: &activities.Guard{
				Rules:   pdns.Guard{MaxDelete: 10, MaxDeletePercent: 5, MaxAPIDeletePerMinute: 2000, MaxShrinkPercent: 50, MinRecords: 100},
				Ledgers: memory, Holds: memory, List: memory, MayHold: func(string) bool { return true }, Announce: starter{dispatcher}, Published: allOf{store},
			},
			Timing: activities.Timing{MinInterval: 50 * time.Millisecond, EventCheckWait: time.Second, MaxLag: time.Minute},
		},
	}
	ahead := activities.NewAhead(ctx, roles.Activity, nil)
	background(func() { mirror.Run(ctx) })
	roles.Checks = &activities.Checks{}
	roles.Surveyor = &activities.Surveyor{
		Primary: roles.Activity, Local: &query.Client{Uncached: true}, Public: dns, Newest: mirror, Lists: store, Contents: store,
		Rules: pdns.SignatureRules{MinRemaining: 96 * time.Hour},
	}
	roles.Scanner = &activities.Scanner{ID: "primary-1", PowerDNS: powerdns, Versions: mirror, Lists: store}
	roles.Denial = &activities.Denial{ID: "primary-1", Enforce: true, PowerDNS: powerdns, Newest: mirror}
	workflowWorker, exports := roles.Workflows(), roles.Exports()
	secondaryAPI := api.New(firstOf(s.Env("SECONDARY_API_URLS")), s.Env("SECONDARY_API_KEY"))
	applies := worker.Secondary(temporalClient(t, s, "secondary-1"), &activities.Secondary{
		ID: "secondary-1", DNSAddress: secondaryDNS, Master: server.Addr(), DNS: dns, Transfer: server, Versions: store, Applied: state,
		PowerDNS: secondaryAPI, Changer: secondaryAPI, Absence: dns, Signing: dns, Catalogues: store,
	}, quiet)
	for _, gated := range []*worker.Gated{workflowWorker, exports, applies} {
		background(func() { gated.Run(ctx, always, nothing) })
		eventually.True(t, "the workers run", gated.Open)
	}
	return system{stack: s, temporal: primaryTemporal, dispatcher: dispatcher, versions: store, ahead: ahead}
}

// call asks the API of the primary PowerDNS.
func (s system) call(t *testing.T, method, path, body string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.stack.Env("PRIMARY_API_URL")+"/api/v1/servers/localhost"+path, strings.NewReader(body))
	require.NoError(t, err)
	request.Header.Set("X-API-Key", s.stack.Env("API_KEY"))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, answer)
}

func (s system) resync(t *testing.T, zone string) workflows.SyncZoneResult {
	t.Helper()
	var result workflows.SyncZoneResult
	eventually.True(t, "the search attributes are known", func() bool {
		var err error
		result, err = dispatch.ResyncZone(t.Context(), s.temporal, workflows.SyncZoneInput{Zone: zone})
		// Without them a workflow task fails, and with it what waits for the workflow.
		if err != nil && !strings.Contains(err.Error(), "search attribute") && !strings.Contains(err.Error(), "unexpected workflow task failure") {
			require.NoError(t, err)
		}
		return err == nil
	})
	return result
}

// TestWorkersCarryAZoneFromPrimaryToSecondary also records the histories
// that the replay test reads, when RECORD_HISTORIES is set.
func TestWorkersCarryAZoneFromPrimaryToSecondary(t *testing.T) {
	s := newSystem(t)
	const zone = "worker.example."
	s.call(t, http.MethodPost, "/zones", fmt.Sprintf(`{"name":%q,"kind":"Native","nameservers":["ns1.%s"]}`, zone, zone))
	result := s.resync(t, zone)
	require.Equal(t, workflows.OutcomeInSync, result.Outcome, "%+v", result)
	require.Equal(t, []string{"secondary-1"}, ids(result))
	for range 5 {
		change := workflows.ZoneChange{Trigger: workflows.TriggerEvent, Primary: "primary-1"}
		require.NoError(t, s.dispatcher.SyncZone(t.Context(), workflows.SyncZoneInput{Zone: zone, Trigger: workflows.TriggerEvent}, change))
	}
	final := s.result(t, zone)
	require.Equal(t, workflows.OutcomeInSync, final.Outcome)
	require.GreaterOrEqual(t, final.Exports, 2)

	s.call(t, http.MethodDelete, "/zones/"+zone, "")
	deleted := s.resync(t, zone)
	require.Equal(t, workflows.OutcomeHeld, deleted.Outcome, "it was the only one")
	s.approve(t, pdns.DeletesHold)
	require.True(t, s.result(t, zone).Deleted || s.resync(t, zone).Deleted)

	in := workflows.ReconcileSecondaryInput{Secondary: "secondary-1", Reason: "test"}
	require.NoError(t, s.dispatcher.ReconcileSecondary(t.Context(), in))
	var reconciled workflows.ReconcileSecondaryResult
	require.NoError(t, s.temporal.GetWorkflow(t.Context(), workflows.ReconcileSecondaryID("secondary-1"), "").Get(t.Context(), &reconciled))
	require.Equal(t, workflows.OutcomeInSync, reconciled.Outcome)

	s.call(t, http.MethodPost, "/zones", `{"name":"batch.example.","kind":"Native","nameservers":["ns1.batch.example."]}`)
	batch := workflows.SyncZonesInput{Zones: []string{"batch.example.", "unknown.batch.example."}, Primary: "primary-1"}
	require.NoError(t, s.dispatcher.SyncZones(t.Context(), "test", batch))
	var synced workflows.SyncZonesResult
	require.NoError(t, s.temporal.GetWorkflow(t.Context(), workflows.SyncZonesID("test"), "").Get(t.Context(), &synced))
	require.Equal(t, []string{"unknown.batch.example."}, synced.Alone)
	require.Equal(t, map[string]int{activities.AppliedNow: 1, activities.AppliedNone: 1}, synced.Secondaries[0].Outcomes)
	require.Equal(t, workflows.OutcomeFailed, s.result(t, "unknown.batch.example.").Outcome)

	unknown := s.resync(t, "never.seen.example.")
	require.Equal(t, workflows.OutcomeFailed, unknown.Outcome)
	require.Contains(t, unknown.Error, "never.seen.example.")

	if os.Getenv("RECORD_HISTORIES") != "" {
		s.record(t, workflows.SyncZoneID(zone), "sync_zone")
		s.record(t, workflows.SyncZoneID("never.seen.example."), "sync_zone_unknown")
		s.record(t, workflows.SyncZonesID("test"), "sync_zones")
		s.record(t, workflows.ReconcileSecondaryID("secondary-1"), "reconcile_secondary")
		s.record(t, workflows.HoldChangeID(pdns.DeletesHold), "hold_change")
	}
}

// approve approves what is held and waits for the hold's end.
func (s system) approve(t *testing.T, hold string) {
	t.Helper()
	var status workflows.HoldChangeResult
	eventually.True(t, "the hold is shown", func() bool {
		value, err := s.temporal.QueryWorkflow(t.Context(), workflows.HoldChangeID(hold), "", workflows.QueryStatus)
		return err == nil && value.Get(&status) == nil && status.Held.Undecided > 0
	})
	require.NoError(t, s.dispatcher.DecideHold(t.Context(), hold, pdns.Approved, status.Held.Digest))
	var result workflows.HoldChangeResult
	require.NoError(t, s.temporal.GetWorkflow(t.Context(), workflows.HoldChangeID(hold), "").Get(t.Context(), &result))
	require.Equal(t, workflows.OutcomeInSync, result.Outcome, "%+v", result)
	require.Equal(t, 1, result.Decision.Decided)
}

func ids(result workflows.SyncZoneResult) []string {
	var list []string
	for _, secondary := range result.Secondaries {
		list = append(list, secondary.ID)
	}
	return list
}

func (s system) result(t *testing.T, zone string) workflows.SyncZoneResult {
	t.Helper()
	var result workflows.SyncZoneResult
	require.NoError(t, s.temporal.GetWorkflow(t.Context(), workflows.SyncZoneID(zone), "").Get(t.Context(), &result))
	return result
}

// record writes the history of the newest run for the replay test.
func (s system) record(t *testing.T, id, name string) {
	t.Helper()
	require.NoError(t, s.temporal.GetWorkflow(t.Context(), id, "").Get(t.Context(), nil))
	var history historypb.History
	for events := s.temporal.GetWorkflowHistory(t.Context(), id, "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT); events.HasNext(); {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	data, err := protojson.Marshal(&history)
	require.NoError(t, errors.Join(err, os.WriteFile(filepath.Join("..", "workflows", "testdata", "histories", name+".json"), data, 0o644)))
}

// allOf reads the newest versions of all zones from the store itself.
type allOf struct{ store *versions.Store }

func (a allOf) Newest(ctx context.Context) (map[string]pdns.Version, error) {
	newest := make(map[string]pdns.Version)
	for v, err := range a.store.All(ctx) {
		if err != nil {
			return nil, err
		}
		newest[v.Zone] = v
	}
	return newest, nil
}
