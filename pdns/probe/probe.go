// Package probe asks whether the PowerDNS on this host works: by DNS and by its
// API, since either may hang while the other answers.
package probe

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// recent is how long [PowerDNS.Recent] believes what was found.
const recent = 1500 * time.Millisecond

// PowerDNS is the one on this host. It may be used by several goroutines.
type PowerDNS struct {
	API *api.Client
	DNS query.Local

	last atomic.Pointer[found]
}

// found is what was found of PowerDNS, and when it was asked.
type found struct {
	at  time.Time
	err error
}

// Check returns nil when PowerDNS answers a question by DNS, whatever the
// answer, and by its API. The error says which of them does not, and why.
func (p *PowerDNS) Check(ctx context.Context) error {
	now := time.Now()
	err := p.ask(ctx)
	if ctx.Err() == nil { // else it says nothing of PowerDNS
		p.last.Store(&found{now, err})
	}
	return err
}

// Recent is Check for those who may ask beside somebody who does so all the time: what
// was found in the last 1.5 s is not asked for again.
func (p *PowerDNS) Recent(ctx context.Context) error {
	if last := p.last.Load(); last != nil && time.Since(last.at) < recent {
		return last.err
	}
	return p.Check(ctx)
}

func (p *PowerDNS) ask(ctx context.Context) error {
	question := new(dns.Msg).SetQuestion(".", dns.TypeSOA)
	question.RecursionDesired = false
	if _, err := p.DNS.Exchange(ctx, question); err != nil {
		return fmt.Errorf("the local PowerDNS does not answer by DNS (powerdns.dns_address): %w", err)
	}
	if _, err := p.API.Server(ctx); err != nil {
		return fmt.Errorf("the API of the local PowerDNS does not answer (powerdns.api_url, powerdns.api_key_file): %w", err)
	}
	return nil
}

// Version returns PowerDNS's version, "" where it does not answer.
func (p *PowerDNS) Version(ctx context.Context) string {
	server, err := p.API.Server(ctx)
	if err != nil {
		return ""
	}
	return server.Version
}
