package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/applied"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/guard"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// stack is NATS with a primary and a secondary PowerDNS, for all tests here.
var stack *stacktest.Stack

func TestMain(m *testing.M) {
	stacktest.Main(m, &stack, "nats", "pdns-primary", "pdns-secondary-1", "pdns-secondary-2")
}

// alone says that there is no other primary.
type alone struct{ others []string }

func (a alone) OtherPrimaries(context.Context) ([]string, error) { return a.others, nil }

// hosts is one primary and one secondary over real servers.
type hosts struct {
	js        jetstream.JetStream
	store     *versions.Store
	announced *announced
	primary   *activities.Primary
	secondary *activities.Secondary
}

func newHosts(t *testing.T) hosts {
	t.Helper()
	return newHostsWith(t, 0)
}

// newHostsWith takes the secondary PowerDNS of that number: 0 has SQLite, 1 LMDB.
func newHostsWith(t *testing.T, number int) hosts {
	t.Helper()
	js := brokertest.Fresh(t, stack)
	store, memory, told := versions.New(js), guard.New(js), &announced{}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	dns := &query.Client{}
	secondaryDNS := strings.Split(stack.Env("DNS_SECONDARIES"), ",")[number]
	server, err := transfer.NewServer("127.0.0.1:0", query.Local{Client: dns, Server: secondaryDNS}, quiet)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	state, err := applied.Open(t.TempDir(), quiet)
	require.NoError(t, err)
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
		require.NoError(t, state.Close())
	})
	secondaryAPI := api.New(strings.Split(stack.Env("SECONDARY_API_URLS"), ",")[number], stack.Env("SECONDARY_API_KEY"))
	t.Cleanup(func() { // the next test's transfer server is another: these would be foreign
		for zone, err := range secondaryAPI.Zones(context.Background()) {
			require.NoError(t, err)
			require.NoError(t, secondaryAPI.DeleteZone(context.Background(), zone.Name))
		}
	})
	primaryAPI := api.New(stack.Env("PRIMARY_API_URL"), stack.Env("API_KEY"))
	return hosts{
		js: js, store: store, announced: told,
		primary: &activities.Primary{
			ID: "primary-1", DNSAddress: stack.Env("DNS_PRIMARY"), Versions: store, Peers: alone{}, SpoolDir: t.TempDir(),
			PowerDNS: primaryAPI, Source: primaryAPI, Absence: dns,
			Guard: &activities.Guard{
				Rules:   pdns.Guard{MaxDelete: 10, MaxDeletePercent: 5, MaxAPIDeletePerMinute: 2000, MaxShrinkPercent: 50, MinRecords: 100},
				Ledgers: memory, Holds: memory, List: memory, MayHold: func(string) bool { return true }, Announce: told, Published: allOf{store},
			},
			Timing: activities.Timing{MinInterval: time.Millisecond, EventCheckWait: time.Second, MaxLag: time.Minute},
		},
		secondary: &activities.Secondary{
			ID: "secondary-1", DNSAddress: secondaryDNS, Master: server.Addr(), DNS: &query.Client{Uncached: true}, Transfer: server, Versions: store, Applied: state,
			PowerDNS: secondaryAPI, Changer: secondaryAPI, Absence: dns, Foreign: secondaryAPI, Signing: dns, Catalogues: store,
		},
	}
}

// export runs ExportZone as Temporal would, once.
func export(p *activities.Primary, in activities.ExportZoneInput) (activities.ExportZoneResult, error) {
	return run[activities.ExportZoneResult](p, p.ExportZone, in)
}

func apply(s *activities.Secondary, zone string) (activities.ApplyZoneResult, error) {
	return run[activities.ApplyZoneResult](s, s.ApplyZone, activities.ApplyZoneInput{Zone: zone})
}

func run[R any](holder, activity, in any) (result R, err error) {
	var suite testsuite.WorkflowTestSuite
	env := suite.NewTestActivityEnvironment()
	env.RegisterActivity(holder)
	value, err := env.ExecuteActivity(activity, in)
	if err != nil {
		return result, err
	}
	return result, value.Get(&result)
}

// makeZone makes a zone on the primary with one TXT record at its top, and returns
// PowerDNS's answer.
func makeZone(t *testing.T, name string, settings ...map[string]any) []byte {
	t.Helper()
	body := map[string]any{
		"name": name, "kind": "Native", "soa_edit_api": "", "nameservers": []string{"ns1." + name},
		"rrsets": []any{rrset(name, "TXT", `"first"`)},
	}
	for _, more := range settings {
		maps.Copy(body, more)
	}
	t.Cleanup(func() { call(t, http.MethodDelete, "/zones/"+name, nil) })
	return call(t, http.MethodPost, "/zones", body)
}

// brought makes a zone on the primary and brings it to the secondary.
func (h hosts) brought(t *testing.T, zone string) {
	t.Helper()
	makeZone(t, zone)
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	_, err = apply(h.secondary, zone)
	require.NoError(t, err)
}

// set replaces the zone's SOA serial and TXT record.
func set(t *testing.T, name string, serial uint32, text string) {
	t.Helper()
	call(t, http.MethodPatch, "/zones/"+name, map[string]any{"rrsets": []any{
		rrset(name, "SOA", fmt.Sprintf("ns1.%s hostmaster.%s %d 10800 3600 604800 3600", name, name, serial)),
		rrset(name, "TXT", fmt.Sprintf("%q", text)),
	}})
}

func rrset(name, kind string, contents ...string) any {
	records := make([]any, len(contents))
	for i, content := range contents {
		records[i] = map[string]any{"content": content, "disabled": false}
	}
	return map[string]any{"name": name, "type": kind, "ttl": 60, "changetype": "REPLACE", "records": records}
}

func call(t *testing.T, method, path string, body any) []byte {
	t.Helper()
	return callAt(t, stack.Env("PRIMARY_API_URL"), stack.Env("API_KEY"), method, path, body)
}

func callAt(t *testing.T, url, key, method, path string, body any) []byte {
	t.Helper()
	data, err := json.Marshal(body)
	require.NoError(t, err)
	request, err := http.NewRequest(method, url+"/api/v1/servers/localhost"+path, bytes.NewReader(data))
	require.NoError(t, err)
	request.Header.Set("X-API-Key", key)
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	if response.StatusCode != http.StatusNotFound || method != http.MethodDelete {
		require.Less(t, response.StatusCode, 300, "%s %s: %s", method, path, answer)
	}
	return answer
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
