package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// faulty stands in front of the real API and lets fault spoil what it answers.
func faulty(t *testing.T, fault func(w http.ResponseWriter, r *http.Request, pass http.Handler)) *api.Client {
	t.Helper()
	upstream, err := url.Parse(stack.Env("PRIMARY_API_URL"))
	require.NoError(t, err)
	pass := httputil.NewSingleHostReverseProxy(upstream)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fault(w, r, pass) }))
	t.Cleanup(server.Close)
	return api.New(server.URL, stack.Env("API_KEY"))
}

// TestAFailedReadDeletesNothing: whatever goes wrong with the primary's API, no
// zone is deleted: the export fails, or is held.
func TestAFailedReadDeletesNothing(t *testing.T) {
	isList := func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/zones") }
	isZone := func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/zones/") }
	notFound := func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "Not Found")
	}
	h := newHosts(t)
	zones := publishedZones(t, h, 30)
	// fewer is a list that is right but for the zones that are asked for, which it lacks.
	asked := zones[:20]
	fewer := func(body []byte) []byte {
		var listed []map[string]any
		err := json.Unmarshal(body, &listed)
		listed = slices.DeleteFunc(listed, func(zone map[string]any) bool {
			name, _ := zone["name"].(string)
			return slices.Contains(asked, name)
		})
		less, marshalErr := json.Marshal(listed)
		assert.NoError(t, errors.Join(err, marshalErr)) // in the server's goroutine
		return less
	}
	// answer has the zone look gone, and the list be what list makes of it.
	answer := func(list func(body []byte) []byte) func(http.ResponseWriter, *http.Request, http.Handler) {
		return func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			switch {
			case isZone(r):
				notFound(w)
			case isList(r):
				record := httptest.NewRecorder()
				pass.ServeHTTP(record, r)
				_, _ = w.Write(list(record.Body.Bytes()))
			default:
				pass.ServeHTTP(w, r)
			}
		}
	}
	for name, c := range map[string]struct {
		fault func(http.ResponseWriter, *http.Request, http.Handler)
		held  bool
	}{
		"500 to everything": {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
			w.WriteHeader(http.StatusInternalServerError)
		}, false},
		"500 to the list": {func(w http.ResponseWriter, r *http.Request, pass http.Handler) {
			if isList(r) {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			answer(nil)(w, r, pass)
		}, false},
		"another web server":       {func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { notFound(w) }, false},
		"no such zone, but a list": {answer(func(body []byte) []byte { return body }), false},
		"a list cut short":         {answer(func(body []byte) []byte { return body[:len(body)/2] }), false},
		"null for a list":          {answer(func([]byte) []byte { return []byte("null") }), false},
		"an object for a list":     {answer(func([]byte) []byte { return []byte(`{"error":"busy"}`) }), false},
		"an empty answer":          {answer(func([]byte) []byte { return nil }), false},
		"a list of fewer zones":    {answer(fewer), true},
		"an empty list":            {answer(func([]byte) []byte { return []byte("[]") }), true},
		"another database's zones": {answer(func([]byte) []byte { return []byte(`[{"name":"other.example.","kind":"Native"}]`) }), true},
		"a list of another primary": {answer(func(body []byte) []byte {
			return []byte(strings.ReplaceAll(string(body), "guard.example.", "other.example."))
		}), true},
	} {
		t.Run(name, func(t *testing.T) {
			broken := *h.primary
			broken.PowerDNS = faulty(t, c.fault)
			result, err := export(&broken, activities.ExportZoneInput{Zone: asked[0]})
			if c.held {
				require.NoError(t, err)
				require.Equal(t, activities.ExportHeld, result.Outcome, "%+v", result)
			} else {
				require.ErrorContains(t, err, asked[0])
			}
			batch, err := run[activities.ZonesResult](&broken, broken.ExportZones, activities.ZonesInput{Zones: asked})
			if c.held {
				require.NoError(t, err)
				require.Equal(t, map[string]int{activities.ExportHeld: len(asked)}, batch.Outcomes)
			} else {
				require.Error(t, err)
			}
			requireNoTombstone(t, h, zones...)
			require.Equal(t, len(zones), exportAll(t, h.primary, zones, pdns.NotProxied).Outcomes[activities.ExportUnchanged])
			require.Zero(t, review(t, h.primary, "deletes").Open, "nobody asks for it any more")
		})
	}
}

// brokenLedger cannot be asked.
type brokenLedger struct{}

func (brokenLedger) Amend(context.Context, string, func(pdns.Ledger) (pdns.Ledger, string)) (string, error) {
	return "", io.ErrUnexpectedEOF
}

func TestWithoutTheLedgerNothingIsDeleted(t *testing.T) {
	h := newHosts(t)
	zones := publishedZones(t, h, 3)
	lost(t, zones[0])
	h.primary.Guard.Ledgers = brokenLedger{}
	for _, proxied := range []pdns.Proxied{pdns.NotProxied, pdns.ProxiedDelete} {
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zones[0], Proxied: proxied})
		require.ErrorContains(t, err, io.ErrUnexpectedEOF.Error())
		_, err = run[activities.ZonesResult](h.primary, h.primary.ExportZones, activities.ZonesInput{Zones: zones[:1], Proxied: proxied})
		require.ErrorContains(t, err, zones[0])
	}
	requireNoTombstone(t, h, zones...)
}
