package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// Where PowerDNS may be storing another version of the same serial, the serial that it serves is not enough, unless it hands out
// no zones.
func TestAServedSerialMayBeAnotherVersions(t *testing.T) {
	const zone, serial = "twice.example.", 7
	text := func(record string) string {
		return "@ 60 IN SOA ns1 hostmaster 7 10800 3600 604800 60\n@ 60 IN NS ns1.example.net.\nwww 60 IN TXT " + record + "\n"
	}
	open := pdnstest.Secondary(t, pdnstest.SQLite)
	open.LoadZone(t, zone, text("wanted"))
	content, err := transfer.DigestOf(t.Context(), open.DNS, zone)
	require.NoError(t, err)
	v := pdns.Version{Zone: zone, Serial: serial, Digest: content.Digest, Records: content.Records}

	closed := pdnstest.Secondary(t, pdnstest.SQLite, "disable-axfr=yes")
	for name, c := range map[string]struct {
		server  *pdnstest.Server
		version pdns.Version
		content string
		want    error
	}{
		"the version's":               {open, v, "wanted", nil},
		"another version's":           {open, v, "another", errOtherContent},
		"another's that is not shown": {closed, v, "another", nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.server.LoadZone(t, zone, text(c.content))
			s := &Secondary{DNS: &query.Client{Uncached: true}, DNSAddress: c.server.DNS}
			require.NoError(t, s.serves(t.Context(), c.version), "the serial is the same")
			require.ErrorIs(t, s.servesAndHolds(t.Context(), c.version), c.want)
			later := c.version
			later.Serial++
			require.ErrorContains(t, s.servesAndHolds(t.Context(), later), "serves serial 7, not 8")
		})
	}
}
