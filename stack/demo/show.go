// Package demo shows on a running system what pdns-distribute is for: a zone is created, signed and changed through
// the api-proxy, and both secondaries serve each step a moment later.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
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

// show holds what the steps need.
type show struct {
	proxy       *client.Nameserver
	secondaries []*client.Nameserver
	out         io.Writer
}

// Show creates, signs and changes a zone, and writes to out how long each took to be served by every secondary. env holds
// the variables of the system's env file.
func Show(ctx context.Context, out io.Writer, env map[string]string) error {
	proxy, _, secondaries, err := client.Nameservers(env)
	if err != nil {
		return err
	}
	s := &show{proxy, secondaries, out}
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
		"rrsets": []client.RRset{
			client.Set("ns1."+zone, "A", "192.0.2.53"), client.Set("ns2."+zone, "A", "192.0.2.54"), client.Set(host, "A", "192.0.2.1"),
		},
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
		took, err := s.step(ctx, http.MethodPatch, "/"+zone, client.Replace(client.Set(host, "A", content)), servesAddress(content))
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

// step sends one request and returns how long after it each secondary served what was asked for.
func (s *show) step(ctx context.Context, method, path string, body any, served func(*dns.Msg) error) ([]time.Duration, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, stepTimeout, fmt.Errorf("not served after %s", stepTimeout))
	defer cancel()
	began := time.Now()
	if _, err := s.proxy.Call(ctx, method, "/zones"+path, body); err != nil {
		return nil, err
	}
	took := make([]time.Duration, len(s.secondaries))
	faults := make(chan error, len(s.secondaries))
	for i, secondary := range s.secondaries {
		go func() {
			err := until(ctx, secondary, served)
			took[i] = time.Since(began)
			if err != nil {
				err = fmt.Errorf("%s: %w", secondary.Name, err)
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

func (s *show) tell(what string, took []time.Duration) {
	parts := make([]string, len(took))
	for i, d := range took {
		parts[i] = fmt.Sprintf("%.0f ms", milliseconds(d))
	}
	fmt.Fprintf(s.out, "  %-42s served by the secondaries after %s\n", what, strings.Join(parts, " and "))
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func servesAddress(content string) func(*dns.Msg) error {
	return func(answer *dns.Msg) error {
		for _, rr := range answer.Answer {
			if a, ok := rr.(*dns.A); ok && a.A.String() == content {
				return nil
			}
		}
		return fmt.Errorf("%s is not %s", host, content)
	}
}

func servesSigned(answer *dns.Msg) error {
	if !slices.ContainsFunc(answer.Answer, func(rr dns.RR) bool { return rr.Header().Rrtype == dns.TypeRRSIG }) {
		return fmt.Errorf("no signature of %s", host)
	}
	return nil
}

// until asks a secondary for the host's address until it is served; at ctx's end it returns the reason and the last error.
func until(ctx context.Context, secondary *client.Nameserver, served func(*dns.Msg) error) error {
	line, err := secondary.Dial(ctx)
	if err != nil {
		return err
	}
	defer line.Close()
	ticker := time.NewTicker(probeInterval)
	defer ticker.Stop()
	for {
		answer, err := line.Ask(ctx, host, dns.TypeA, true)
		if err == nil {
			err = served(answer)
		}
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
