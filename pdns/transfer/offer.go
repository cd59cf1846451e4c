package transfer

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/miekg/dns"
)

// errWithdrawn ends the streams of an offer that its owner took back.
var errWithdrawn = errors.New("the offer was withdrawn")

// Offer is one version of a zone that a [Server] hands out until it is
// withdrawn. PowerDNS may ask for it more than once.
type Offer struct {
	zone    string
	version int64
	open    func(ctx context.Context) (io.ReadCloser, error)

	withdraw func()
	ctx      context.Context // ends with the offer
	started  chan struct{}
	once     sync.Once
	done     chan error
}

// Started is closed when the first AXFR of the zone arrives. That it stays
// open tells of a PowerDNS that dropped the request to retrieve the zone.
func (o *Offer) Started() <-chan struct{} { return o.started }

// Done gives the outcome of the latest stream that ended: nil when all of the
// content was sent, else why it was not. It is not closed, since another
// stream may follow; an outcome that nobody took is replaced by the next.
func (o *Offer) Done() <-chan error { return o.done }

// Withdraw takes the offer back: streams still running break off, further AXFR
// of the zone is refused. It may be called more than once.
func (o *Offer) Withdraw() { o.withdraw() }

func (o *Offer) start() { o.once.Do(func() { close(o.started) }) }

// finish notes the outcome of one stream.
func (o *Offer) finish(err error) {
	for {
		select {
		case o.done <- err:
			return
		default:
		}
		select { // full: drop the older outcome
		case <-o.done: //nolint:errcheck // an outcome that nobody took
		default:
		}
	}
}

// answerSOA returns the SOA that stands at the head of the content.
func (o *Offer) answerSOA(ctx context.Context) (dns.RR, error) {
	content, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	defer content.Close()
	for rr, err := range Read(content) {
		return rr, err
	}
	return nil, io.ErrUnexpectedEOF // cannot be: Read yields a SOA or an error
}

// offers is what is on offer now, by canonical zone name.
type offers struct {
	mu     sync.Mutex
	byZone map[string]*Offer
}

// put puts an offer up in the place of an older one of the same zone, which
// is withdrawn: one version of a zone at a time.
func (s *offers) put(o *Offer) {
	ctx, cancel := context.WithCancelCause(context.Background())
	o.ctx = ctx
	o.withdraw = func() {
		s.mu.Lock()
		if s.byZone[o.zone] == o {
			delete(s.byZone, o.zone)
		}
		s.mu.Unlock()
		cancel(errWithdrawn)
	}
	s.mu.Lock()
	older := s.byZone[o.zone]
	s.byZone[o.zone] = o
	s.mu.Unlock()
	if older != nil {
		older.Withdraw()
	}
}

// get returns the offer of a zone, nil when there is none.
func (s *offers) get(zone string) *Offer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.byZone[zone]
}
