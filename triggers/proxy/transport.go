package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/trace"
)

// transport connects anew for each request: PowerDNS closes the connection after
// each answer (seen with 4.7.3), and a request on a connection that is being
// closed would be sent a second time.
func transport() http.RoundTripper {
	dialer := net.Dialer{Timeout: 2 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return &patientConn{Conn: conn, exchange: exchangeOf(ctx)}, nil
		},
		DisableKeepAlives:  true,
		DisableCompression: true, // or the answer would not be what the client asked for
	}
}

// traced marks how long PowerDNS takes to answer a request that is traced.
type traced struct{ http.RoundTripper }

func (t traced) RoundTrip(r *http.Request) (*http.Response, error) {
	_, ended := trace.Start(r.Context(), "proxy powerdns")
	res, err := t.RoundTripper.RoundTrip(r)
	ended(err)
	return res, err
}

// patientConn lets PowerDNS's answer be read after it stopped reading the
// request: to a body over webserver-max-bodysize it answers 400 and closes the
// connection. [http.Transport] takes the failed write for the end of the exchange,
// and the client would sometimes get the answer and sometimes a 502.
type patientConn struct {
	net.Conn
	exchange *exchange
}

func (c *patientConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		if c.exchange != nil {
			c.exchange.cut.Store(true)
		}
		return len(p), nil
	}
	return n, err
}
