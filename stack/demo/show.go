// Package demo shows on a running system what pdns-distribute is for: a zone is created, signed and changed through
// the api-proxy, and both secondaries serve each step a moment later.
package demo

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	zone = "demo.example."
	host = "www." + zone
	// stepTimeout bounds one step; a step takes milliseconds when all is well.
	stepTimeout = 30 * time.Second
	// probeInterval is how often a secondary is asked: the resolution of the times shown.
	probeInterval = time.Millisecond
	// moreChanges are timed after the first, for a median that says more than one figure.
	moreChanges = 20
)

// show holds what the steps need; the variables are those of the system's env file.
type show struct {
	env         map[string]string
	client      *http.Client
	secondaries []string
	out         io.Writer
}

// Show creates, signs and changes a zone, and writes to out how long each took to be served by every secondary.
func Show(ctx context.Context, out io.Writer, env map[string]string) error {
	pem, err := os.ReadFile(env["API_CA"])
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("no certificate in %s", env["API_CA"])
	}
	s := &show{
		env: env, out: out, secondaries: strings.Split(env["DNS_SECONDARIES"], ","),
		client: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}},
	}
	defer s.client.CloseIdleConnections()
	for _, step := range []func(context.Context) error{s.create, s.sign, s.change} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) create(ctx context.Context) error {
	body := map[string]any{
		"name": zone, "kind": "Native", "nameservers": []string{"ns1." + zone, "ns2." + zone},
		"rrsets": []any{address("ns1."+zone, "192.0.2.53"), address("ns2."+zone, "192.0.2.54"), address(host, "192.0.2.1")},
	}
	took, err := s.step(ctx, http.MethodPost, "", body, servesAddress("192.0.2.1"))
	if err != nil {
		return fmt.Errorf("create %s: %w", zone, err)
	}
	s.tell("created zone "+zone, took)
	return nil
}

func (s *show) sign(ctx context.Context) error {
	took, err := s.step(ctx, http.MethodPut, "/"+zone, map[string]any{"dnssec": true, "api_rectify": true}, servesSigned)
	if err != nil {
		return fmt.Errorf("sign %s: %w", zone, err)
	}
	s.tell("signed it (DNSSEC)", took)
	return nil
}

func (s *show) change(ctx context.Context) error {
	var all []time.Duration
	for i := range 1 + moreChanges {
		content := fmt.Sprintf("192.0.2.%d", 100+i)
		took, err := s.step(ctx, http.MethodPatch, "/"+zone, map[string]any{"rrsets": []any{address(host, content)}}, servesAddress(content))
		if err != nil {
			return fmt.Errorf("change %s to %s: %w", host, content, err)
		}
		if i == 0 {
			s.tell("changed "+host+" to "+content, took)
			continue
		}
		all = append(all, slices.Max(took))
	}
	slices.Sort(all)
	fmt.Fprintf(s.out, "  %-42s served by all after %.0f ms (median), %.0f ms (slowest)\n",
		fmt.Sprintf("%d more changes, one after the other", moreChanges), milliseconds(all[len(all)/2]), milliseconds(all[len(all)-1]))
	return nil
}

// address is an A RRset in the form of PowerDNS's API.
func address(name, content string) map[string]any {
	return map[string]any{
		"name": name, "type": "A", "ttl": 60, "changetype": "REPLACE",
		"records": []any{map[string]any{"content": content, "disabled": false}},
	}
}

// step sends one request and returns how long after it each secondary served what was asked for.
func (s *show) step(ctx context.Context, method, path string, body any, served func(context.Context, string) error) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("not served after %s", stepTimeout))
	defer cancel()
	began := time.Now()
	if err := s.request(ctx, method, path, body); err != nil {
		return nil, err
	}
	took := make([]time.Duration, len(s.secondaries))
	faults := make(chan error, len(s.secondaries))
	for i, secondary := range s.secondaries {
		go func() {
			err := until(ctx, func() error { return served(ctx, secondary) })
			took[i] = time.Since(began)
			if err != nil {
				err = fmt.Errorf("secondary %s: %w", secondary, err)
			}
			faults <- err
		}()
	}
	var all []error
	for range s.secondaries {
		all = append(all, <-faults)
	}
	return took, errors.Join(all...)
}

func (s *show) request(ctx context.Context, method, path string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, method, s.env["API_URL"]+"/api/v1/servers/localhost/zones"+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("X-API-Key", s.env["API_KEY"])
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = fmt.Errorf("%s %s answers %s: %s", method, req.URL, resp.Status, answer)
	}
	return err
}

func (s *show) tell(what string, took []time.Duration) {
	parts := make([]string, len(took))
	for i, d := range took {
		parts[i] = fmt.Sprintf("%.0f ms", milliseconds(d))
	}
	fmt.Fprintf(s.out, "  %-42s served by the secondaries after %s\n", what, strings.Join(parts, " and "))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func servesAddress(content string) func(context.Context, string) error {
	return func(ctx context.Context, secondary string) error {
		answer, err := ask(ctx, secondary)
		if err != nil {
			return err
		}
		for _, rr := range answer.Answer {
			if a, ok := rr.(*dns.A); ok && a.A.String() == content {
				return nil
			}
		}
		return fmt.Errorf("%s does not answer %s", host, content)
	}
}

func servesSigned(ctx context.Context, secondary string) error {
	answer, err := ask(ctx, secondary)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(answer.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG }) {
		return fmt.Errorf("no signature of %s", host)
	}
	return nil
}

// ask queries the host's address with DNSSEC, by UDP.
func ask(ctx context.Context, server string) (*dns.Msg, error) {
	query := new(dns.Msg).SetQuestion(host, dns.TypeA)
	query.SetEdns0(1232, true)
	client := dns.Client{Timeout: time.Second}
	answer, _, err := client.ExchangeContext(ctx, query, server)
	if err == nil && (answer.Rcode != dns.RcodeSuccess || !answer.Authoritative) {
		err = fmt.Errorf("answers %s", dns.RcodeToString[answer.Rcode])
	}
	return answer, err
}

// until calls try until it succeeds; at ctx's end it returns the reason and try's last error.
func until(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
