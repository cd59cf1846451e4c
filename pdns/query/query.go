// Package query asks name servers questions over DNS, as anybody could from
// outside: what a secondary really answers is what counts.
package query

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// DefaultTimeout bounds one try over one transport.
const DefaultTimeout = 2 * time.Second

// Client asks questions. The zero value is ready; it may be used by several
// goroutines.
type Client struct {
	// Timeout bounds the UDP try and the TCP try, each; zero means
	// [DefaultTimeout].
	Timeout time.Duration
	// Uncached has [Client.SOA], [Client.SignedSet] and [Client.Signing] ask so
	// that a PowerDNS answers from its database: its packet cache keeps an answer for
	// 20 s, also when the zone's keys change, and now and then when its content does.
	Uncached bool
}

// Answer is what a server says about the SOA of a zone.
type Answer struct {
	// Rcode is the DNS response code. REFUSED, NXDOMAIN and SERVFAIL are answers.
	Rcode int
	// Authoritative is the AA bit.
	Authoritative bool
	// Owner is the canonical name of the SOA in the answer section, empty
	// when there is none. A SOA in the authority section does not count: for a zone
	// that is not served it is the parent's.
	Owner string
	// Serial is that SOA's.
	Serial uint32
}

// Served reports whether the server serves zone (its canonical name): an
// authoritative NOERROR with a SOA that the zone owns in the answer section.
func (a Answer) Served(zone string) bool {
	return a.Rcode == dns.RcodeSuccess && a.Authoritative && a.Owner == zone
}

// SOA asks server (host:port) for the SOA of zone (its canonical name). The
// error, which names server and zone, means that no answer came.
func (c *Client) SOA(ctx context.Context, server, zone string) (Answer, error) {
	q := new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	q.RecursionDesired = false
	if c.Uncached {
		q.SetEdns0(ednsSize, false)
		makeUnique(q)
	}
	m, err := c.Exchange(ctx, server, q)
	if err != nil {
		return Answer{}, err
	}
	return parseSOA(m, zone), nil
}

func parseSOA(m *dns.Msg, zone string) Answer {
	a := Answer{Rcode: m.Rcode, Authoritative: m.Authoritative}
	for _, rr := range m.Answer {
		soa, ok := rr.(*dns.SOA)
		if !ok {
			continue
		}
		owner, err := pdns.CanonicalZone(soa.Hdr.Name)
		if err == nil && (a.Owner == "" || owner == zone) {
			a.Owner, a.Serial = owner, soa.Serial
		}
	}
	return a
}

// Exchange sends q to server (host:port) over UDP, and over TCP when the
// answer is cut off or does not come: a lost datagram is then told from a server that is
// gone. UDP has half of what is left of ctx at most. The error names the server and the
// question.
func (c *Client) Exchange(ctx context.Context, server string, q *dns.Msg) (*dns.Msg, error) {
	timeout := cmp.Or(c.Timeout, DefaultTimeout)
	first := timeout
	end, bounded := ctx.Deadline()
	if bounded {
		first = min(first, time.Until(end)/2)
	}
	m, err := over(ctx, "udp", server, q, first)
	if timedOut(err) && ctx.Err() == nil || err == nil && m.Truncated {
		m, err = over(ctx, "tcp", server, q, timeout)
	}
	if err != nil {
		if bounded && !time.Now().Before(end) {
			<-ctx.Done() // it ends at any moment: that is what the caller is to hear
		}
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		question := q.Question[0]
		return nil, fmt.Errorf("ask %s for %s %s: %w", server, question.Name, dns.Type(question.Qtype), err)
	}
	return m, nil
}

func over(ctx context.Context, transport, server string, q *dns.Msg, timeout time.Duration) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	client := dns.Client{Net: transport, Timeout: timeout}
	m, _, err := client.ExchangeContext(ctx, q, server)
	return m, err
}

func timedOut(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// Local asks one server, the PowerDNS on this host.
type Local struct {
	Client *Client
	// Server is its DNS address, host:port.
	Server string
}

// Exchange is [Client.Exchange] with that server.
func (l Local) Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error) {
	return l.Client.Exchange(ctx, l.Server, q)
}
