package activities_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

func setNSEC3(t *testing.T, d *activities.Denial) activities.SetNSEC3Result {
	t.Helper()
	result, err := run[activities.SetNSEC3Result](d, d.SetNSEC3, activities.SetNSEC3Input{})
	require.NoError(t, err)
	return result
}

// Where NSEC3 is wanted, live-signed zones get it; presigned zones, zones with old
// keys, and those that have other parameters stay as they are.
func TestSetNSEC3(t *testing.T) {
	onEach(t, func(t *testing.T, i *inspected) {
		zones := []string{"live.nsec3.example.", "norectify.nsec3.example.", "oldkey.nsec3.example.", "optout.nsec3.example.", "presigned.nsec3.example.", "unsigned.nsec3.example."}
		for _, zone := range zones {
			if zone != zones[4] {
				makeZone(t, zone)
			}
		}
		for _, zone := range zones[:2] {
			call(t, http.MethodPut, "/zones/"+zone, map[string]any{"dnssec": true})
		}
		call(t, http.MethodPut, "/zones/"+zones[1], map[string]any{"api_rectify": false})
		call(t, http.MethodPost, "/zones/"+zones[2]+"/cryptokeys", map[string]any{"keytype": "csk", "active": true, "algorithm": "rsasha1", "bits": 1024})
		call(t, http.MethodPut, "/zones/"+zones[3], map[string]any{"dnssec": true, "nsec3param": "1 1 5 ab12"})
		loadPresigned(t, zones[4], pdnstest.NewSigner(t, zones[4]).Sign(t, presignedText, time.Now().Add(-time.Hour), time.Now().AddDate(0, 0, 20)))
		i.sync(t, false, zones...)
		wantNSEC3 := func(want ...bool) {
			t.Helper()
			for n, zone := range zones {
				v, _, err := i.store.Newest(t.Context(), zone)
				require.NoError(t, err)
				require.Equal(t, want[n], v.NSEC3, zone)
			}
		}
		wantNSEC3(false, false, false, true, false, false)

		policy := &activities.Denial{ID: "primary-1", PowerDNS: api.New(stack.Env("PRIMARY_API_URL"), stack.Env("API_KEY")), Newest: newestOf{i.store}}
		require.Equal(t, activities.SetNSEC3Result{Off: true}, setNSEC3(t, policy))
		policy.Enforce = true
		result := setNSEC3(t, policy)
		require.Equal(t, zones[:2], result.Zones)
		require.Equal(t, "primary-1", result.Primary)
		require.Equal(t, map[string]int{string(pdns.NSEC3Wanted): 2, string(pdns.NSEC3OldKeys): 1, string(pdns.NSEC3Presigned): 1}, result.Outcomes, result.Reason)
		require.Equal(t, zones[2:3], result.OldKeys)

		again := setNSEC3(t, policy)
		require.Equal(t, zones[:2], again.Zones, "an attempt whose result was lost has its zones synced all the same")
		require.Equal(t, 2, again.Outcomes[string(pdns.NSEC3Set)])

		i.sync(t, false, result.Zones...)
		wantNSEC3(true, true, false, true, false, false)
		require.Empty(t, setNSEC3(t, policy).Zones)
		require.Equal(t, map[string]int{"same": len(zones)}, i.compareContent(t, i.surveyContent(t)).States)
	})
}
