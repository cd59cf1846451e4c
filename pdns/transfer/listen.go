package transfer

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/netutil"
)

const (
	// maxConns bounds the TCP connections, and with them the streams:
	// one connection carries one at a time. PowerDNS opens one for each of its
	// retrieval-threads (default 2).
	maxConns = 64
	// idleTimeout closes a TCP connection that asks nothing.
	idleTimeout = 10 * time.Second
	// writeTimeout bounds one write to a reader that stopped reading.
	// PowerDNS gives up a transfer of its own after axfr-fetch-timeout, 10 s.
	writeTimeout = 20 * time.Second
	// portTries bounds the search for a port free for both UDP and TCP.
	portTries = 20
)

// listen opens the TCP and UDP sockets of addr (IP:port), which must be a
// loopback address: what is offered is for the PowerDNS of this host alone.
func listen(addr string) (net.Listener, net.PacketConn, error) {
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, nil, fmt.Errorf("transfer address %q is not IP:port: %w", addr, err)
	}
	if !at.Addr().Unmap().IsLoopback() {
		return nil, nil, fmt.Errorf("transfer address %s is not a loopback address; zones are handed out in clear, "+
			"so set secondary.transfer_address to one such as 127.0.0.1:5399", addr)
	}
	for try := 1; ; try++ {
		tcp, udp, err := listenBoth(at)
		if err == nil {
			return netutil.LimitListener(deadlineListener{tcp}, maxConns), udp, nil
		}
		// Port 0 picks a free TCP port whose UDP twin may be taken.
		if at.Port() != 0 || try == portTries {
			return nil, nil, fmt.Errorf("transfer address %s: %w", addr, err)
		}
	}
}

func listenBoth(at netip.AddrPort) (net.Listener, net.PacketConn, error) {
	tcp, err := net.Listen("tcp", at.String())
	if err != nil {
		return nil, nil, err
	}
	udp, err := net.ListenPacket("udp", tcp.Addr().String())
	if err != nil {
		tcp.Close()
		return nil, nil, err
	}
	return tcp, udp, nil
}

// deadlineListener gives each write of its connections a deadline, which
// dns.Server (1.1.73) does not: its WriteTimeout is read nowhere.
type deadlineListener struct{ net.Listener }

func (l deadlineListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return deadlineConn{conn}, nil
}

type deadlineConn struct{ net.Conn }

func (c deadlineConn) Write(p []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
