package worker_test

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// A change that was published as a delta is proven by its sync. Its history is
// recorded when RECORD_HISTORIES is set.
func TestADeltaIsProvenByItsSync(t *testing.T) {
	s := newSystem(t)
	const zone = "delta.worker.example."
	type set map[string]any
	text := func(name string, n int) set {
		records := make([]set, n)
		for i := range records {
			records[i] = set{"content": fmt.Sprintf("%q", rand.Text())}
		}
		return set{"name": name, "type": "TXT", "ttl": 60, "changetype": "REPLACE", "records": records}
	}
	body := func(sets []set, more set) string {
		more["rrsets"] = sets
		data, err := json.Marshal(more)
		require.NoError(t, err)
		return string(data)
	}
	var sets []set
	for i := range 1200 { // too large for an entry
		sets = append(sets, text(fmt.Sprintf("h%d.%s", i, zone), 10))
	}
	s.call(t, http.MethodPost, "/zones", body(sets, set{"name": zone, "kind": "Native", "soa_edit_api": "INCREASE", "nameservers": []string{"ns1." + zone}}))
	base := s.resync(t, zone)
	require.Equal(t, workflows.OutcomeInSync, base.Outcome, "%+v", base)
	s.result(t, zone) // its end

	s.call(t, http.MethodPatch, "/zones/"+zone, body([]set{text("h1."+zone, 1)}, set{}))
	s.ahead.Changed(pdns.Call{Zone: zone, Kind: pdns.ChangeModify, ChangeID: "change-1", RRsets: []pdns.RRsetName{{Name: "h1." + zone, Type: "TXT"}}})
	require.NoError(t, s.dispatcher.SyncZone(t.Context(),
		workflows.SyncZoneInput{Zone: zone, Trigger: workflows.TriggerEvent, Primary: "primary-1"},
		workflows.ZoneChange{ChangeID: "change-1", Trigger: workflows.TriggerEvent, Primary: "primary-1", Taken: true}))
	result := s.result(t, zone)
	require.Equal(t, workflows.OutcomeInSync, result.Outcome, "%+v", result)
	require.Equal(t, base.Serial+1, result.Serial)
	require.Equal(t, 2, result.Exports, "the one ahead, and the one that proves it")
	newest, _, err := s.versions.Newest(t.Context(), zone)
	require.NoError(t, err)
	require.Equal(t, result.Version, newest.Version)
	require.False(t, newest.Unproven())
	require.NotEmpty(t, newest.Digest)
	if os.Getenv("RECORD_HISTORIES") != "" {
		s.record(t, workflows.SyncZoneID(zone), "sync_zone_delta")
	}
}
