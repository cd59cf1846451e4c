package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// ask asks n, by UDP and where that is truncated by TCP. With dnssec, the DO bit is set.
func (n *nameserver) ask(ctx context.Context, name string, qtype uint16, dnssec bool) (*dns.Msg, error) {
	m := new(dns.Msg).SetQuestion(name, qtype)
	m.RecursionDesired = false
	m.SetEdns0(1232, dnssec)
	client := dns.Client{Timeout: 2 * time.Second, UDPSize: 1232}
	in, _, err := client.ExchangeContext(ctx, m, n.dns)
	if err == nil && in.Truncated {
		client.Net = "tcp"
		in, _, err = client.ExchangeContext(ctx, m, n.dns)
	}
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s %s: %w", n.name, name, dns.TypeToString[qtype], err)
	}
	return in, nil
}

// serial returns the serial of the SOA that n answers with authority for the zone itself; served is false when it has none.
func (n *nameserver) serial(ctx context.Context, zone string) (serial uint32, served bool, err error) {
	in, err := n.ask(ctx, zone, dns.TypeSOA, false)
	if err != nil {
		return 0, false, err
	}
	for _, rr := range in.Answer {
		if soa, ok := rr.(*dns.SOA); ok && in.Authoritative && sameName(rr.Header().Name, zone) {
			return soa.Serial, true, nil
		}
	}
	return 0, false, nil
}

func sameName(a, b string) bool { return dns.CanonicalName(a) == dns.CanonicalName(b) }

// servesSerial returns nil when every one of these serves the zone with this serial.
func servesSerial(ctx context.Context, zone string, serial uint32, servers ...*nameserver) error {
	for _, n := range servers {
		got, served, err := n.serial(ctx, zone)
		switch {
		case err != nil:
			return err
		case !served:
			return fmt.Errorf("%s does not serve %s", n.name, zone)
		case got != serial:
			return fmt.Errorf("%s serves %s with serial %d, want %d", n.name, zone, got, serial)
		}
	}
	return nil
}

// waitServed waits until both secondaries serve the zone with this serial.
func waitServed(t testing.TB, zone string, serial uint32) {
	t.Helper()
	until(t, soon, func() error { return servesSerial(t.Context(), zone, serial, secondaries...) })
}

// waitGone waits until no secondary has an SOA of the zone's own, nor the zone in its API.
func waitGone(t testing.TB, zone string) {
	t.Helper()
	until(t, soon, func() error { return notServed(t.Context(), zone, secondaries...) })
	for _, n := range secondaries {
		if z, found := n.zone(t, zone); found {
			t.Fatalf("%s no longer serves %s but still holds it: %+v", n.name, zone, z)
		}
	}
}

func notServed(ctx context.Context, zone string, servers ...*nameserver) error {
	for _, n := range servers {
		serial, served, err := n.serial(ctx, zone)
		if err != nil {
			return err
		}
		if served {
			return fmt.Errorf("%s still serves %s with serial %d", n.name, zone, serial)
		}
	}
	return nil
}

// transfer returns all records that n hands out by AXFR, sorted, the SOA once. Signatures are cut off: those of ECDSA
// differ each time they are made.
func (n *nameserver) transfer(zone string) ([]string, error) {
	m := new(dns.Msg).SetAxfr(zone)
	conn, err := net.DialTimeout("tcp", n.dns, 5*time.Second)
	if err != nil {
		return nil, err
	}
	tr := &dns.Transfer{Conn: &dns.Conn{Conn: conn}, ReadTimeout: 30 * time.Second}
	defer tr.Close()
	envelopes, err := tr.In(m, n.dns)
	if err != nil {
		return nil, err
	}
	var lines []string
	for envelope := range envelopes {
		if envelope.Error != nil {
			return nil, fmt.Errorf("AXFR of %s from %s: %w", zone, n.name, envelope.Error)
		}
		for _, rr := range envelope.RR {
			if sig, ok := rr.(*dns.RRSIG); ok {
				sig.Signature = ""
			}
			lines = append(lines, rr.String())
		}
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("AXFR of %s from %s is empty", zone, n.name)
	}
	lines = lines[:len(lines)-1] // the SOA again
	slices.Sort(lines)
	return lines, nil
}

// sameContent returns nil when both secondaries hold exactly what the primary hands out.
func sameContent(zone string) error { return agree(zone, primary, secondaries...) }

// agree returns nil when these servers hold exactly what origin hands out.
func agree(zone string, origin *nameserver, servers ...*nameserver) error {
	want, err := origin.transfer(zone)
	if err != nil {
		return err
	}
	for _, n := range servers {
		got, err := n.transfer(zone)
		if err != nil {
			return err
		}
		if diff := difference(want, got); diff != "" {
			return fmt.Errorf("%s differs from the primary in %s:\n%s", n.name, zone, diff)
		}
	}
	return nil
}

// waitSame waits until both secondaries hold exactly what the primary hands out.
func waitSame(t testing.TB, zone string) {
	t.Helper()
	until(t, soon, func() error { return sameContent(zone) })
}

// difference lists up to ten lines that are only in want (-) or only in got (+); both are sorted.
func difference(want, got []string) string {
	const shown = 10
	var diff []string
	for len(want) > 0 || len(got) > 0 {
		switch {
		case len(got) == 0 || len(want) > 0 && want[0] < got[0]:
			diff, want = append(diff, "- "+want[0]), want[1:]
		case len(want) == 0 || got[0] < want[0]:
			diff, got = append(diff, "+ "+got[0]), got[1:]
		default:
			want, got = want[1:], got[1:]
		}
	}
	if len(diff) > shown {
		diff = append(diff[:shown], fmt.Sprintf("and %d more", len(diff)-shown))
	}
	return strings.Join(diff, "\n")
}

// hasAnswer returns nil when all of these answer the question with an RRset of exactly these contents.
func hasAnswer(ctx context.Context, name string, qtype uint16, contents []string, servers ...*nameserver) error {
	for _, n := range servers {
		in, err := n.ask(ctx, name, qtype, false)
		if err != nil {
			return err
		}
		var got []string
		for _, rr := range in.Answer {
			if rr.Header().Rrtype == qtype {
				got = append(got, strings.TrimPrefix(rr.String(), rr.Header().String()))
			}
		}
		slices.Sort(got)
		want := slices.Sorted(slices.Values(contents))
		if !slices.Equal(got, want) {
			return errors.New(n.name + " answers " + name + " " + dns.TypeToString[qtype] + " with " + fmt.Sprintf("%q, want %q (%s)", got, want, dns.RcodeToString[in.Rcode]))
		}
	}
	return nil
}
