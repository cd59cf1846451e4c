package query

import (
	"context"

	"github.com/miekg/dns"
)

// Absent reports whether server (host:port) says that nothing is at or below name:
// NXDOMAIN, from its database and not from its packet cache. No answer, and a
// wildcard's, say nothing.
func (c *Client) Absent(ctx context.Context, server, name string) (bool, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
	q.RecursionDesired = false
	q.SetEdns0(ednsSize, false)
	makeUnique(q)
	m, err := c.Exchange(ctx, server, q)
	if err != nil {
		return false, err
	}
	return m.Rcode == dns.RcodeNameError && m.Authoritative && len(m.Answer) == 0, nil
}
