package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// lookupTimeout bounds the question to the local PowerDNS, which gives
	// up waiting for our answer after 2 s (its freshness check).
	lookupTimeout = 1500 * time.Millisecond
	// maxUDP bounds the UDP questions being answered; more are dropped.
	maxUDP = 256
	// shutdownTimeout bounds the wait for running streams at the end.
	shutdownTimeout = 5 * time.Second
)

// SOALookup asks the PowerDNS on this host.
type SOALookup interface {
	// Exchange sends q and returns the answer, whatever its rcode. The error
	// means that none came.
	Exchange(ctx context.Context, q *dns.Msg) (*dns.Msg, error)
}

// Server is the DNS server from which the secondary's own PowerDNS takes its
// zones, as their only master. It answers on a loopback address alone:
//
//   - AXFR for a zone on offer; any other is refused.
//   - SOA for a zone that the local PowerDNS serves with that PowerDNS's own
//     answer, RRSIG included when asked with DO: the applied version. A newer
//     one would make PowerDNS start a transfer of its own, a refusal makes it ask
//     again and again. For a zone on offer that it does not serve yet, the offer's SOA.
//   - IXFR with NOTIMP: PowerDNS (4.7 to 5.1) stores what it takes by IXFR
//     with auth=0 and without empty non-terminals, and then answers wrongly.
//   - NOTIFY with NOTIMP, everything else with REFUSED.
type Server struct {
	local  SOALookup
	log    *slog.Logger
	offers offers
	tcp    net.Listener
	udp    net.PacketConn
	udpBox chan struct{}
	idle   time.Duration
	ctx    context.Context // of Run
}

// NewServer listens on addr (IP:port, loopback only, port 0 for any free one)
// and returns the server. Nothing is answered before [Server.Run].
func NewServer(addr string, local SOALookup, log *slog.Logger) (*Server, error) {
	tcp, udp, err := listen(addr)
	if err != nil {
		return nil, err
	}
	return &Server{
		local: local, log: log, offers: offers{byZone: make(map[string]*Offer)},
		tcp: tcp, udp: udp, udpBox: make(chan struct{}, maxUDP), idle: idleTimeout,
	}, nil
}

// Addr returns the address that it listens on, IP:port for UDP and TCP.
func (s *Server) Addr() string { return s.udp.LocalAddr().String() }

// Offer puts up one version of a zone (its canonical name) for AXFR until the
// offer is withdrawn; an older offer of the zone is withdrawn. open returns
// the content encoding from its begin, once for each AXFR and for each question for
// the SOA; the context ends with the offer or the server.
func (s *Server) Offer(zone string, version int64, open func(ctx context.Context) (io.ReadCloser, error)) *Offer {
	o := &Offer{
		zone: zone, version: version, open: open,
		started: make(chan struct{}), done: make(chan error, 1),
	}
	s.offers.put(o)
	return o
}

// Run answers until ctx ends, which is no error. It may be called once.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	s.ctx = ctx
	idle := func() time.Duration { return s.idle }
	servers := []*dns.Server{
		{Listener: s.tcp, Handler: s, ReadTimeout: s.idle, IdleTimeout: idle},
		{PacketConn: s.udp, Handler: s, UDPSize: 4096},
	}
	for _, server := range servers {
		started := make(chan struct{})
		server.NotifyStartedFunc = func() { close(started) }
		group.Go(func() error {
			if err := server.ActivateAndServe(); err != nil {
				return fmt.Errorf("transfer server %s: %w", s.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-ctx.Done()
			select {
			case <-started: // before this, a shutdown is not heard
			case <-time.After(shutdownTimeout):
			}
			stop, cancel := context.WithTimeout(context.Background(), shutdownTimeout)
			defer cancel()
			_ = server.ShutdownContext(stop) // streams that hang end with the process
			return nil
		})
	}
	return group.Wait()
}

// ServeDNS answers one question; the library calls it. Messages that are no
// question it has answered (FORMERR, NOTIMP) or dropped before.
func (s *Server) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	if _, tcp := w.RemoteAddr().(*net.TCPAddr); tcp {
		s.answer(w, q, true)
		return
	}
	select {
	case s.udpBox <- struct{}{}:
		defer func() { <-s.udpBox }()
		s.answer(w, q, false)
	default: // the asker asks again
	}
}

func (s *Server) answer(w dns.ResponseWriter, q *dns.Msg, tcp bool) {
	if q.Opcode != dns.OpcodeQuery || len(q.Question) != 1 {
		s.reply(w, q, dns.RcodeNotImplemented, nil)
		return
	}
	question := q.Question[0]
	zone, err := pdns.CanonicalZone(question.Name)
	if err != nil || question.Qclass != dns.ClassINET {
		s.reply(w, q, dns.RcodeRefused, nil)
		return
	}
	switch {
	case question.Qtype == dns.TypeAXFR && tcp:
		s.transfer(w, q, zone)
	case question.Qtype == dns.TypeIXFR:
		s.reply(w, q, dns.RcodeNotImplemented, nil)
	case question.Qtype == dns.TypeSOA:
		rcode, answer := s.soa(q, zone)
		s.reply(w, q, rcode, answer)
	default:
		s.reply(w, q, dns.RcodeRefused, nil)
	}
}

// soa returns the answer to a SOA question.
func (s *Server) soa(q *dns.Msg, zone string) (rcode int, answer []dns.RR) {
	ctx, cancel := context.WithTimeout(s.ctx, lookupTimeout)
	defer cancel()
	ask := new(dns.Msg).SetQuestion(zone, dns.TypeSOA)
	ask.RecursionDesired = false
	signed := q.IsEdns0() != nil && q.IsEdns0().Do()
	if signed {
		ask.SetEdns0(dns.DefaultMsgSize, true)
	}
	local, err := s.local.Exchange(ctx, ask)
	if err != nil {
		s.log.Debug("local PowerDNS did not answer", "zone", zone, "error", err)
		return dns.RcodeServerFailure, nil
	}
	if answer = servedSOA(local, zone, signed); answer != nil {
		return dns.RcodeSuccess, answer
	}
	offer := s.offers.get(zone)
	if offer == nil {
		return dns.RcodeRefused, nil
	}
	soa, err := offer.answerSOA(ctx)
	if err != nil {
		s.log.Debug("content on offer cannot be read", "zone", zone, "version", offer.version, "error", err)
		return dns.RcodeServerFailure, nil
	}
	return dns.RcodeSuccess, []dns.RR{soa}
}

// servedSOA picks the SOA that zone owns, and its signatures, from the answer
// of a server that has authority; nil when there is none.
func servedSOA(m *dns.Msg, zone string, signed bool) []dns.RR {
	if m.Rcode != dns.RcodeSuccess || !m.Authoritative {
		return nil
	}
	var soa, signatures []dns.RR
	for _, rr := range m.Answer {
		if dns.CanonicalName(rr.Header().Name) != zone {
			continue
		}
		switch rr := rr.(type) {
		case *dns.SOA:
			soa = []dns.RR{rr}
		case *dns.RRSIG:
			if signed && rr.TypeCovered == dns.TypeSOA {
				signatures = append(signatures, rr)
			}
		}
	}
	if soa == nil {
		return nil
	}
	return append(soa, signatures...)
}

// reply sends one message.
func (s *Server) reply(w dns.ResponseWriter, q *dns.Msg, rcode int, answer []dns.RR) {
	m := new(dns.Msg).SetRcode(q, rcode)
	m.Authoritative = rcode == dns.RcodeSuccess
	m.Answer = answer
	size := dns.MinMsgSize
	if opt := q.IsEdns0(); opt != nil {
		m.SetEdns0(dns.DefaultMsgSize, opt.Do())
		size = max(size, int(opt.UDPSize()))
	}
	if _, udp := w.RemoteAddr().(*net.UDPAddr); udp {
		m.Truncate(size)
	}
	if err := w.WriteMsg(m); err != nil && !errors.Is(err, net.ErrClosed) {
		s.log.Debug("answer not sent", "error", err)
	}
}
