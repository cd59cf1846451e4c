package api_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

func TestRRsetsOfAName(t *testing.T) {
	forEachBackend(t, func(t *testing.T, server *pdnstest.Server, client *api.Client) {
		const zone = "example.org."
		server.CreateZone(t, zone, "$ORIGIN example.org.\n@ 60 IN SOA a b 7 2 3 4 5\n@ 60 IN NS a\nwww 60 IN A 192.0.2.1\nwww 60 IN A 192.0.2.2\nwww 300 IN TXT \"a;b\" \"c\"\nx.www 60 IN A 192.0.2.3\n* 60 IN A 192.0.2.4\n")
		server.MustCall(t, http.MethodPatch, "/zones/"+zone, map[string]any{"rrsets": []any{map[string]any{
			"name": "off.example.org.", "type": "A", "ttl": 60, "changetype": "REPLACE", "records": []any{
				map[string]any{"content": "192.0.2.5", "disabled": true},
			},
		}, map[string]any{
			"name": "half.example.org.", "type": "A", "ttl": 60, "changetype": "REPLACE", "records": []any{
				map[string]any{"content": "192.0.2.6", "disabled": true}, map[string]any{"content": "192.0.2.7", "disabled": false},
			},
		}}})
		look := func(name string) []pdns.RRset {
			held, sets, err := client.RRsets(t.Context(), zone, name)
			require.NoError(t, err)
			require.EqualValues(t, 7, held.Serial)
			slices.SortFunc(sets, func(a, b pdns.RRset) int { return strings.Compare(a.Type, b.Type) })
			for _, set := range sets {
				slices.Sort(set.Records)
			}
			return sets
		}
		require.Equal(t, []pdns.RRset{
			{Name: "www.example.org.", Type: "A", TTL: 60, Records: []string{"192.0.2.1", "192.0.2.2"}},
			{Name: "www.example.org.", Type: "TXT", TTL: 300, Records: []string{`"a;b" "c"`}},
		}, look("www.example.org."))
		require.Empty(t, look("nothing.example.org."), "no wildcard")
		require.Empty(t, look("off.example.org."))
		require.Equal(t, []pdns.RRset{{Name: "half.example.org.", Type: "A", TTL: 60, Records: []string{"192.0.2.7"}}}, look("half.example.org."))
		require.Len(t, look("*.example.org."), 1)
		require.Len(t, look(zone), 2)
		_, _, err := client.RRsets(t.Context(), "another.example.", "another.example.")
		require.ErrorIs(t, err, api.ErrNotFound)

		require.NoError(t, client.Patch(t.Context(), zone, []pdns.RRset{
			{Name: "www.example.org.", Type: "A"},
			{Name: "new.example.org.", Type: "MX", TTL: 60, Records: []string{"10 a.example.org.", "20 b.example.org."}},
			{Name: "never.example.org.", Type: "A"},
		}))
		require.Equal(t, []pdns.RRset{{Name: "www.example.org.", Type: "TXT", TTL: 300, Records: []string{`"a;b" "c"`}}}, look("www.example.org."))
		require.Equal(t, []pdns.RRset{{Name: "new.example.org.", Type: "MX", TTL: 60, Records: []string{"10 a.example.org.", "20 b.example.org."}}}, look("new.example.org."))
		err = client.Patch(t.Context(), zone, []pdns.RRset{
			{Name: "www.example.org.", Type: "TXT"}, {Name: "www.example.org.", Type: "A", TTL: 60, Records: []string{"nonsense"}},
		})
		require.ErrorIs(t, err, api.ErrRejected)
		require.Len(t, look("www.example.org."), 1, "all or nothing")
	})
}

// Whether a change is followed by a rectification shows in the metadata, and where
// it says nothing, in the settings.
func TestRectifies(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		for _, setting := range []string{"yes", "no"} {
			t.Run(backend+"/"+setting, func(t *testing.T) {
				t.Parallel()
				server := pdnstest.Primary(t, backend, "default-api-rectify="+setting)
				client := api.New(server.APIURL, server.APIKey)
				const zone = "example.org."
				server.CreateZone(t, zone, "example.org. 60 IN SOA a. b. 1 2 3 4 5\nexample.org. 60 IN NS a.\n")
				rectifies := func() bool {
					does, err := client.Rectifies(t.Context(), zone)
					require.NoError(t, err)
					return does
				}
				require.Equal(t, setting == "yes", rectifies())
				server.MustCall(t, http.MethodPut, "/zones/"+zone, map[string]any{"api_rectify": true})
				require.True(t, rectifies())
				require.NoError(t, client.LeaveUnrectified(t.Context(), zone))
				require.False(t, rectifies())
			})
		}
	}
}
