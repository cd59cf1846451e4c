package probe_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/probe"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// What was just found is not asked for again; who asks by Check learns how it is.
func TestRecent(t *testing.T) {
	stack := stacktest.Start(t, "pdns-primary")
	right := stack.Env("DNS_PRIMARY")
	wrong, _ := strings.CutPrefix(stack.Env("PRIMARY_API_URL"), "http://") // nothing speaks DNS by UDP there
	p := &probe.PowerDNS{
		API: api.New(stack.Env("PRIMARY_API_URL"), stack.Env("API_KEY")),
		DNS: query.Local{Client: &query.Client{}, Server: right},
	}
	require.NoError(t, p.Recent(t.Context()), "it was never asked")
	eventually.True(t, "what was found is believed", func() bool {
		p.DNS.Server = right
		require.NoError(t, p.Check(t.Context()))
		p.DNS.Server = wrong
		return p.Recent(t.Context()) == nil
	})
	require.ErrorContains(t, p.Check(t.Context()), "does not answer by DNS (powerdns.dns_address)")
	require.ErrorContains(t, p.Recent(t.Context()), "does not answer by DNS (powerdns.dns_address)")
}
