package client

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// answerTimeout bounds one question; an answer that was lost is asked for again.
const answerTimeout = time.Second

// Line asks one nameserver, one question after the other, over one UDP socket: to open one for each would cost more than
// the question.
type Line struct {
	client *dns.Client
	conn   *dns.Conn
	name   string
}

// Dial opens a line to n. The caller closes it.
func (n *Nameserver) Dial(ctx context.Context) (*Line, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "udp", n.DNS)
	if err != nil {
		return nil, err
	}
	return &Line{&dns.Client{Timeout: answerTimeout}, &dns.Conn{Conn: conn}, n.Name}, nil
}

// Close closes the socket.
func (l *Line) Close() { l.conn.Close() }

// Ask asks once; with dnssec for signatures too.
func (l *Line) Ask(ctx context.Context, name string, rrtype uint16, dnssec bool) (*dns.Msg, error) {
	query := new(dns.Msg).SetQuestion(name, rrtype)
	query.RecursionDesired = false
	if dnssec {
		query.SetEdns0(1232, true)
	}
	answer, _, err := l.client.ExchangeWithConnContext(ctx, query, l.conn)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s %s: %w", l.name, name, dns.TypeToString[rrtype], err)
	}
	return answer, nil
}
