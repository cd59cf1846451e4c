package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
)

const (
	// probeEvery is the resolution of times; of longer ones it is a hundredth, so that the questions cost little.
	probeEvery = time.Millisecond
	// awaitTimeout bounds the wait for one zone, perZone what more of them add.
	awaitTimeout = 15 * time.Minute
	perZone      = 100 * time.Millisecond
)

// question is asked until its answer is as wanted.
type question struct {
	name   string
	rrtype uint16
	wanted func(*dns.Msg) bool
}

// marked wants the zone's marker to have the value n.
func marked(zone string, n int) question {
	return question{marker(zone), dns.TypeTXT, func(m *dns.Msg) bool {
		for _, rr := range m.Answer {
			if txt, ok := rr.(*dns.TXT); ok && len(txt.Txt) == 1 && txt.Txt[0] == fmt.Sprint(n) {
				return true
			}
		}
		return false
	}}
}

// holds wants an SOA of the zone's own.
func holds(zone string) question { return question{zone, dns.TypeSOA, hasSOA} }

// lacks wants none.
func lacks(zone string) question {
	return question{zone, dns.TypeSOA, func(m *dns.Msg) bool { return !hasSOA(m) }}
}

func hasSOA(m *dns.Msg) bool { return m.Authoritative && len(m.Answer) > 0 }

// served waits until all secondaries answer as wanted. The floor asks those for the zone again that do not yet: PowerDNS
// drops a request that comes while it still cleans up after the zone's last transfer.
func (b *bench) served(ctx context.Context, w *way, zone string, q question) (time.Time, error) {
	err := each(b.secondaries, func(n *client.Nameserver) error {
		only := []*client.Nameserver{n}
		if w.name == floorName {
			again, cancel := context.WithCancel(ctx)
			defer cancel()
			go pushAgain(again, w, zone, only)
		}
		_, err := b.awaitAll(ctx, only, 1, func(int) question { return q })
		return err
	})
	return time.Now(), err
}

// pushAgain does so more and more seldom until ctx ends. Too early it would have a zone fetched twice, and the next request
// dropped.
func pushAgain(ctx context.Context, w *way, zone string, to []*client.Nameserver) {
	for pause := 250 * time.Millisecond; ; pause *= 2 {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
			_ = w.push(ctx, zone, to) // when it fails, the next one may not
		}
	}
}

// await returns when the last of the secondaries answered as wanted.
func (b *bench) await(ctx context.Context, q question) (time.Time, error) {
	return b.awaitAll(ctx, b.secondaries, 1, func(int) question { return q })
}

// awaitAll asks these servers, each the same count of questions one after the other, and returns when the last one's last
// answer was as wanted.
func (b *bench) awaitAll(ctx context.Context, servers []*client.Nameserver, count int, ask func(int) question) (time.Time, error) {
	timeout := awaitTimeout + time.Duration(count)*perZone
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("not served after %s", timeout))
	defer cancel()
	err := each(servers, func(n *client.Nameserver) error {
		line, err := n.Dial(ctx)
		if err != nil {
			return err
		}
		defer line.Close()
		for i := range count {
			if err := awaitOne(ctx, line, ask(i)); err != nil {
				return errors.Join(fmt.Errorf("%s: %s", n.Name, ask(i).name), err)
			}
		}
		return nil
	})
	return time.Now(), err
}

func awaitOne(ctx context.Context, line *client.Line, q question) error {
	began := time.Now()
	pause := time.NewTimer(0)
	defer pause.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-pause.C:
		}
		answer, err := line.Ask(ctx, q.name, q.rrtype, false) // an error is one more reason to ask again
		if err == nil && q.wanted(answer) {
			return nil
		}
		pause.Reset(max(probeEvery, time.Since(began)/100))
	}
}
