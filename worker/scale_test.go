package worker_test

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/applied"
	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/temporal"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/triggers/upkeep"
	"github.com/pdns-distribute/pdns-distribute/worker"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

var scaleZones = flag.Int("zones", 10_000, "zones of BenchmarkCheckHealth")

const scaleMaster = "127.0.0.1:5399"

// checkWithin is how long a check of 100,000 zones in sync may take.
const checkWithin = 30 * time.Second

// BenchmarkCheckHealth checks many zones on two secondaries, all in sync, with the
// real servers: the lists, the catalogue, the compare, the questions by DNS. The
// zones are put straight into the databases, for publishing them takes longer
// than anybody waits. Run it as
//
//	go test ./worker -run '^$' -bench CheckHealth -benchtime 3x -zones 100000
func BenchmarkCheckHealth(b *testing.B) {
	s := newScale(b, *scaleZones)
	var history int64
	before := processSeconds()
	for b.Loop() {
		options := client.StartWorkflowOptions{ID: workflows.HealthCheck.ID, TaskQueue: workflows.WorkflowQueue}
		run, err := s.temporal.ExecuteWorkflow(b.Context(), options, workflows.CheckHealthType, workflows.CheckInput{})
		require.NoError(b, err)
		var result workflows.CheckHealthResult
		require.NoError(b, run.Get(b.Context(), &result))
		require.Equal(b, workflows.OutcomeInSync, result.Outcome, "%s", result.Markdown())
		require.Equal(b, *scaleZones, result.Secondaries[1].Left.Right)
		described, err := s.temporal.DescribeWorkflowExecution(b.Context(), run.GetID(), run.GetRunID())
		require.NoError(b, err)
		info := described.GetWorkflowExecutionInfo()
		history = info.GetHistorySizeBytes()
		require.Less(b, history, int64(1<<20), "octets of history")
		require.Less(b, info.GetHistoryLength(), int64(100), "events in it")
		require.Less(b, info.GetExecutionDuration().AsDuration(), checkWithin)
	}
	b.ReportMetric(float64(history), "history-bytes")
	b.ReportMetric((processSeconds()-before)/float64(b.N), "cpu-s/op")
}

// processSeconds is the CPU time of this process, which is the workers.
func processSeconds() float64 {
	var usage syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &usage) != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()).Seconds()
}

// scale is a primary and two secondaries that hold the same zones.
type scale struct {
	stack    *stacktest.Stack
	temporal client.Client
}

// A check of zones in sync starts no syncs and joins no other run: these would
// panic.
type (
	neverSyncs struct{ activities.Syncs }
	noRuns     struct{ activities.Runs }
)

func newScale(b *testing.B, zones int) scale {
	b.Helper()
	s := stacktest.Start(b, "nats", "temporal", "pdns-primary", "pdns-secondary-1", "pdns-secondary-2")
	js := brokertest.Fresh(b, s)
	store, entries, mirror := versions.New(js), roster.New(js), versions.NewMirror(js)
	connection := temporalClient(b, s, "primary")
	ctx, cancel := context.WithCancel(context.Background())
	background := new(errgroup.Group)
	b.Cleanup(func() { cancel(); _ = background.Wait() })
	run := func(run func(context.Context)) {
		background.Go(func() error { run(ctx); return nil })
	}
	keep := upkeep.New(upkeep.Upkeep{
		JetStream: js, Broker: brokertest.Config(s, "primary"), Temporal: connection, Namespace: s.Env("TEMPORAL_NAMESPACE"), Versions: store, Logger: quiet,
	})
	run(keep.Run)
	run(mirror.Run)

	newest := scaleVersions(zones)
	publishAll(b, js, newest)
	fillSQLite(b, filepath.Join(s.Dir(), "data", "pdns-primary", "pdns.sqlite3"), zones, "'NATIVE', NULL, NULL")
	fillSQLite(b, filepath.Join(s.Dir(), "data", "pdns-secondary-1", "pdns.sqlite3"), zones, "'SLAVE', '"+scaleMaster+"', '"+pdns.Account+"'")
	urls, addresses := strings.Split(s.Env("SECONDARY_API_URLS"), ","), strings.Split(s.Env("DNS_SECONDARIES"), ",")
	fillAPI(b, urls[1], s.Env("SECONDARY_API_KEY"), newest)

	gates := []*worker.Gated{}
	for i, address := range addresses {
		id := fmt.Sprintf("secondary-%d", i+1)
		require.NoError(b, entries.Join(ctx, pdns.Secondary{ID: id, DNSAddress: address}))
		gates = append(gates, worker.Secondary(temporalClient(b, s, id), &activities.Secondary{
			ID: id, DNSAddress: address, Master: scaleMaster, DNS: &query.Client{}, Versions: store, Catalogues: store,
			Applied: appliedAll(b, newest), PowerDNS: api.New(urls[i], s.Env("SECONDARY_API_KEY")),
		}, quiet))
	}
	roles := worker.Primary{
		Client: connection, Logger: quiet, Activity: &activities.Primary{ID: "primary-1"}, Verifier: &activities.Verifier{},
		Directory: &activities.Directory{Roster: entries, Presence: fixed{"secondary-1": true, "secondary-2": true}},
		Checks:    &activities.Checks{Runs: noRuns{}}, Surveyor: &activities.Surveyor{}, Denial: &activities.Denial{},
		Scanner: &activities.Scanner{
			ID: "primary-1", PowerDNS: api.New(s.Env("PRIMARY_API_URL"), s.Env("API_KEY")), Versions: mirror, Lists: store, Syncs: neverSyncs{},
		},
	}
	for _, gated := range append(gates, roles.Workflows(), roles.Exports()) {
		run(func(ctx context.Context) { gated.Run(ctx, always, nothing) })
		eventually.True(b, "the workers run", gated.Open)
	}
	eventually.True(b, "the search attributes are known", func() bool {
		_, err := temporal.EnsureSearchAttributes(ctx, connection, s.Env("TEMPORAL_NAMESPACE"), nil)
		return err == nil
	})
	return scale{stack: s, temporal: connection}
}

func scaleVersions(zones int) []pdns.Version {
	list := make([]pdns.Version, zones)
	for i := range list {
		list[i] = pdns.Version{
			Zone: fmt.Sprintf("z%06d.scale.example.", i+1), Version: int64(i + 1), Serial: 1, Records: 7, Publisher: "primary-1",
			Digest: strings.Repeat("0123456789abcdef", 6), Time: time.Now(),
		}
	}
	return list
}

// publishAll writes the entries as the version store does, with as much content
// as such a zone has, and without reading each before.
func publishAll(b *testing.B, js jetstream.JetStream, newest []pdns.Version) {
	b.Helper()
	content := make([]byte, 220)
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(64)
	for _, v := range newest {
		group.Go(func() error {
			header, err := json.Marshal(v)
			if err == nil {
				_, err = js.Publish(ctx, "$KV."+broker.BucketZones+"."+pdns.ZoneKey(v.Zone), slices.Concat(header, []byte{'\n'}, content))
			}
			return err
		})
	}
	require.NoError(b, group.Wait())
}

func appliedAll(b *testing.B, newest []pdns.Version) *applied.State {
	b.Helper()
	state, err := applied.Open(b.TempDir(), quiet)
	require.NoError(b, err)
	b.Cleanup(func() { _ = state.Close() })
	for _, v := range newest {
		require.NoError(b, state.Set(pdns.AppliedFrom(v, v.Time)))
	}
	return state
}

// fillSQLite puts zones of 7 records into PowerDNS's database.
func fillSQLite(b *testing.B, database string, zones int, kind string) {
	b.Helper()
	var sql strings.Builder
	fmt.Fprintf(&sql, `PRAGMA busy_timeout=60000; BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < %d)
INSERT INTO domains (name, type, master, account) SELECT printf('z%%06d.scale.example', i), %s FROM n;
`, zones, kind)
	for _, record := range []string{
		"name, 'SOA', 'ns1.example.net hostmaster.example.net 1 10800 3600 604800 60'", "name, 'NS', 'ns1.example.net'", "name, 'NS', 'ns2.example.net'",
		"'www.' || name, 'A', '192.0.2.1'", "'mail.' || name, 'A', '192.0.2.2'", "name, 'MX', '10 mail.' || name", `name, 'TXT', '"v=spf1 mx -all"'`,
	} {
		fmt.Fprintf(&sql, "INSERT INTO records (domain_id, name, type, content, ttl, disabled, auth) SELECT id, %s, 300, 0, 1 FROM domains;\n", record)
	}
	sql.WriteString("COMMIT;\n")
	cmd := exec.CommandContext(b.Context(), "sqlite3", "-bail", database)
	cmd.Stdin = strings.NewReader(sql.String())
	out, err := cmd.CombinedOutput()
	require.NoError(b, err, "%s", out)
}

// fillAPI makes the same zones through a secondary's API.
func fillAPI(b *testing.B, url, key string, newest []pdns.Version) {
	b.Helper()
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(4)
	for _, v := range newest {
		group.Go(func() error {
			body, err := json.Marshal(map[string]any{
				"name": v.Zone, "kind": "Slave", "masters": []string{scaleMaster}, "account": pdns.Account, "soa_edit_api": "", "nameservers": []string{},
				"zone": "@ 300 IN SOA ns1.example.net. hostmaster.example.net. 1 10800 3600 604800 60\n@ 300 IN NS ns1.example.net.\n@ 300 IN NS ns2.example.net.\n" +
					"www 300 IN A 192.0.2.1\nmail 300 IN A 192.0.2.2\n@ 300 IN MX 10 mail\n@ 300 IN TXT \"v=spf1 mx -all\"\n",
			})
			if err != nil {
				return err
			}
			request, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"/api/v1/servers/localhost/zones?rrsets=false", strings.NewReader(string(body)))
			if err != nil {
				return err
			}
			request.Header.Set("X-API-Key", key)
			response, err := http.DefaultClient.Do(request)
			if err != nil {
				return err
			}
			defer response.Body.Close()
			if response.StatusCode != http.StatusCreated {
				return fmt.Errorf("make zone %s: %s", v.Zone, response.Status)
			}
			return nil
		})
	}
	require.NoError(b, group.Wait())
}
