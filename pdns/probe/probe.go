// Package probe asks whether the PowerDNS on this host works: by DNS and by its
// API, since either may hang while the other answers.
package probe

import (
	"context"
	"fmt"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// PowerDNS is the one on this host.
type PowerDNS struct {
	API *api.Client
	DNS query.Local
}

// Check returns nil when PowerDNS answers a question by DNS, whatever the
// answer, and by its API. The error says which of them does not, and why.
func (p PowerDNS) Check(ctx context.Context) error {
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
func (p PowerDNS) Version(ctx context.Context) string {
	server, err := p.API.Server(ctx)
	if err != nil {
		return ""
	}
	return server.Version
}
