package query_test

import (
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

func TestAbsent(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run(backend, func(t *testing.T) {
			t.Parallel()
			server := pdnstest.Primary(t, backend)
			server.CreateZone(t, "example.org.", "$ORIGIN example.org.\n@ 60 IN SOA a b 1 2 3 4 5\n@ 60 IN NS a\na.b 60 IN TXT x\n*.wild 60 IN A 192.0.2.1\n*.away 60 IN CNAME nowhere.example.org.\n")
			client := &query.Client{}
			for name, want := range map[string]bool{
				"nothing.example.org.":  true,
				"x.a.b.example.org.":    true,
				"a.b.example.org.":      false, // has no A, but is there
				"b.example.org.":        false, // an empty non-terminal
				"any.wild.example.org.": false,
				"any.away.example.org.": false, // NXDOMAIN of where the wildcard leads to
				"example.org.":          false,
				"another.example.":      false, // refused
			} {
				absent, err := client.Absent(t.Context(), server.DNS, name)
				require.NoError(t, err)
				require.Equal(t, want, absent, name)
			}
			// Past the packet cache, which a change past the API does not drop.
			server.Pdnsutil(t, "add-record", "example.org.", "x.nothing", "TXT", "60", `"new"`)
			server.Pdnsutil(t, "rectify-zone", "example.org.")
			absent, err := client.Absent(t.Context(), server.DNS, "nothing.example.org.")
			require.NoError(t, err)
			require.False(t, absent)
		})
	}
	_, err := (&query.Client{}).Absent(t.Context(), fake(t, func(dns.ResponseWriter, *dns.Msg) {}), "example.org.")
	require.Error(t, err, "silence is no answer")
}
