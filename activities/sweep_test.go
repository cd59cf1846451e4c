package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// newestOf lists a store's versions by zone.
type newestOf struct{ *versions.Store }

func (n newestOf) Newest(ctx context.Context) (map[string]pdns.Version, error) {
	newest := make(map[string]pdns.Version)
	for v, err := range n.All(ctx) {
		if err != nil {
			return nil, err
		}
		newest[v.Zone] = v
	}
	return newest, nil
}

// inspected is a primary and a secondary whose clocks are given.
type inspected struct {
	hosts
	// number is the secondary's, see newHostsWith.
	number   int
	surveyor *activities.Surveyor
	at       time.Time
}

func newInspected(t *testing.T, secondary int) *inspected {
	t.Helper()
	i := &inspected{hosts: newHostsWith(t, secondary), number: secondary, at: time.Now()}
	clock := func() time.Time { return i.at }
	i.secondary.Now = clock
	i.surveyor = &activities.Surveyor{
		Primary: i.primary, Local: &query.Client{Uncached: true}, Public: &query.Client{}, Newest: newestOf{i.store}, Lists: i.store, Contents: i.store,
		Rules: pdns.SignatureRules{MinRemaining: 96 * time.Hour}, Now: clock,
	}
	return i
}

// powerdns is the API of the secondary's PowerDNS.
func (i *inspected) powerdns() *api.Client {
	return api.New(strings.Split(stack.Env("SECONDARY_API_URLS"), ",")[i.number], stack.Env("SECONDARY_API_KEY"))
}

// onEach runs a test with a secondary on SQLite and with one on LMDB.
func onEach(t *testing.T, test func(*testing.T, *inspected)) {
	for number, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) { test(t, newInspected(t, number)) })
	}
}

// sync brings zones from the primary to the secondary.
func (i *inspected) sync(t *testing.T, force bool, zones ...string) {
	t.Helper()
	_, err := run[activities.ZonesResult](i.primary, i.primary.ExportZones, activities.ZonesInput{Zones: zones})
	require.NoError(t, err)
	applied, err := run[activities.ZonesResult](i.secondary, i.secondary.ApplyZones, activities.ZonesInput{Zones: zones, Force: force})
	require.NoError(t, err)
	require.Empty(t, applied.Alone, applied.Reason)
}

func (i *inspected) surveySignatures(t *testing.T, zones ...string) activities.SurveyResult {
	t.Helper()
	result, err := run[activities.SurveyResult](i.surveyor, i.surveyor.SurveySignatures, activities.SurveyInput{Zones: zones})
	require.NoError(t, err)
	return result
}

func (i *inspected) surveyContent(t *testing.T) activities.SurveyResult {
	t.Helper()
	result, err := run[activities.SurveyResult](i.surveyor, i.surveyor.SurveyContent, activities.SurveyInput{})
	require.NoError(t, err)
	return result
}

func (i *inspected) compareSignatures(t *testing.T, survey activities.SurveyResult) activities.CompareResult {
	t.Helper()
	in := activities.CompareInput{List: survey.List, Rules: survey.Rules, Last: true}
	result, err := run[activities.CompareResult](i.secondary, i.secondary.CompareSignatures, in)
	require.NoError(t, err)
	return result
}

func (i *inspected) compareContent(t *testing.T, survey activities.SurveyResult) activities.CompareResult {
	t.Helper()
	result, err := run[activities.CompareResult](i.secondary, i.secondary.CompareContent, activities.CompareInput{List: survey.List})
	require.NoError(t, err)
	return result
}

func (i *inspected) askOutside(t *testing.T, survey activities.SurveyResult, addresses ...string) activities.CompareResult {
	t.Helper()
	in := activities.VerifySignaturesInput{List: survey.List, Rules: survey.Rules}
	for _, address := range addresses {
		in.Targets = append(in.Targets, activities.Target{ID: address, DNSAddress: address})
	}
	result, err := run[activities.CompareResult](i.surveyor, i.surveyor.VerifySignatures, in)
	require.NoError(t, err)
	return result
}

// pdnsutil runs on the primary's data, past its API.
func pdnsutil(t *testing.T, args ...string) {
	t.Helper()
	config := "--config-dir=" + filepath.Join(stack.Dir(), "config", "pdns-primary")
	out, err := exec.CommandContext(t.Context(), "pdnsutil", append([]string{config}, args...)...).CombinedOutput()
	require.NoError(t, err, "pdnsutil %v: %s", args, out)
}

// loadPresigned puts a signed zone on the primary, in place of the one before,
// past its API.
func loadPresigned(t *testing.T, zone, text string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "zone")
	require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
	pdnsutil(t, "load-zone", zone, file)
	pdnsutil(t, "set-presigned", zone)
	t.Cleanup(func() { call(t, http.MethodDelete, "/zones/"+zone, nil) })
}

// edit changes an RRset by hand on the secondary, at an equal serial; without
// contents the RRset is lost.
func (i *inspected) edit(t *testing.T, zone, name, kind string, ttl int, contents ...string) {
	t.Helper()
	records := []any{}
	for _, content := range contents {
		records = append(records, map[string]any{"content": content, "disabled": false})
	}
	change := "REPLACE"
	if len(records) == 0 {
		change = "DELETE"
	}
	data, err := json.Marshal(map[string]any{"rrsets": []any{
		map[string]any{"name": name, "type": kind, "ttl": ttl, "changetype": change, "records": records},
	}})
	require.NoError(t, err)
	url := strings.Split(stack.Env("SECONDARY_API_URLS"), ",")[i.number] + "/api/v1/servers/localhost/zones/" + zone
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, url, bytes.NewReader(data))
	require.NoError(t, err)
	request.Header.Set("X-API-Key", stack.Env("SECONDARY_API_KEY"))
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(response.Body)
	require.NoError(t, err)
	require.Less(t, response.StatusCode, 300, "%s", answer.String())
}

// mix returns the signed zone top with the RRSIGs of one type taken from other.
func mix(top, other, covered string) string {
	var lines []string
	covers := func(line string) bool { return strings.Contains(line, "RRSIG\t"+covered+" ") }
	for _, line := range strings.SplitAfter(top, "\n") {
		if !covers(line) {
			lines = append(lines, line)
		}
	}
	for _, line := range strings.SplitAfter(other, "\n") {
		if covers(line) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}
