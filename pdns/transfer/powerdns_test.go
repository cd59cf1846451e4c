package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// These tests take zones from a real PowerDNS and hand them to another one,
// as the product does: Pull, content, Server, axfr-retrieve.

// taker is a secondary PowerDNS and the transfer server that it takes from.
type taker struct {
	*pdnstest.Server
	api      *api.Client
	transfer *transfer.Server
}

func startTaker(t *testing.T, backend string, settings ...string) taker {
	t.Helper()
	server := pdnstest.Secondary(t, backend, settings...)
	return taker{
		Server:   server,
		api:      api.New(server.APIURL, server.APIKey),
		transfer: startServer(t, query.Local{Client: &query.Client{}, Server: server.DNS}),
	}
}

// startServer runs a transfer server until the test ends.
func startServer(t testing.TB, local transfer.SOALookup) *transfer.Server {
	t.Helper()
	server, err := transfer.NewServer("127.0.0.1:0", local, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Run(t.Context()) }()
	t.Cleanup(func() { // the context has ended by then
		if err := <-ended; err != nil {
			t.Errorf("transfer server ended with %v", err)
		}
	})
	return server
}

func opener(content []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil }
}

// bring makes the taker serve content, creating the zone where it is new.
func (k taker) bring(t testing.TB, zone string, content []byte) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	if _, err := k.api.Zone(ctx, zone); err != nil {
		if err := k.api.CreateSecondaryZone(ctx, zone, k.transfer.Addr(), "pdns-distribute"); err != nil {
			t.Fatal(err)
		}
	}
	offer := k.transfer.Offer(zone, 1, opener(content))
	defer offer.Withdraw()
	for started := false; !started; { // it leaves out what comes while it still stores the zone as it was before
		if err := k.api.RetrieveZone(ctx, zone); err != nil {
			t.Fatalf("PowerDNS did not ask for zone %s: %v", zone, err)
		}
		select {
		case <-offer.Started():
			started = true
		case <-time.After(time.Second):
		}
	}
	select {
	case err := <-offer.Done():
		if err != nil {
			t.Fatal(err)
		}
	case <-ctx.Done():
		t.Fatalf("PowerDNS did not take zone %s", zone)
	}
}

// mustServe waits until the taker serves exactly what want describes.
func (k taker) mustServe(t testing.TB, zone string, want transfer.Summary) {
	t.Helper()
	var got transfer.Summary
	var err error
	within(t, 30*time.Second, func() bool {
		got, err = transfer.DigestOf(t.Context(), k.DNS, zone)
		return err == nil && got.Digest == want.Digest
	}, func() string { return fmt.Sprintf("zone %s: serves %+v, %v, want %+v", zone, got, err, want) })
	got.Size, want.Size = 0, 0
	if got != want {
		t.Errorf("zone %s: serves %+v, want %+v", zone, got, want)
	}
	var client query.Client
	var answer query.Answer
	// PowerDNS purges its packet cache just after it has stored what an AXFR shows at once.
	within(t, 30*time.Second, func() bool {
		answer, err = client.SOA(t.Context(), k.DNS, zone)
		return err == nil && answer.Served(zone) && answer.Serial == want.Serial
	}, func() string {
		return fmt.Sprintf("zone %s: SOA %+v, %v, want serial %d", zone, answer, err, want.Serial)
	})
}

// within polls a condition until it holds.
func within(t testing.TB, limit time.Duration, holds func() bool, state func() string) {
	t.Helper()
	deadline := time.NewTimer(limit)
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %s: %s", limit, state())
		case <-tick.C:
		}
	}
}

func pull(t testing.TB, server *pdnstest.Server, zone string) ([]byte, transfer.Summary) {
	t.Helper()
	var content bytes.Buffer
	sum, err := transfer.Pull(t.Context(), server.DNS, zone, &content)
	if err != nil {
		t.Fatal(err)
	}
	if sum.Size != int64(content.Len()) {
		t.Errorf("size %d, want %d", sum.Size, content.Len())
	}
	if again, err := transfer.Summarize(bytes.NewReader(content.Bytes())); err != nil || again != sum {
		t.Errorf("content is %+v, %v, pulled was %+v", again, err, sum)
	}
	return content.Bytes(), sum
}

// zoneCase is one zone that must come through.
type zoneCase struct {
	name, zone, text string
	// nsec3 is set with signed: empty for NSEC.
	signed bool
	nsec3  string
	// records must be in the content, in presentation form. Without them
	// the content must be just what the library makes of the text.
	records []string
	// load imports the text with pdnsutil.
	load bool
	// plain says that the content can be handed over as text.
	plain bool
}

// head is the SOA and NS of every zone.
const head = "@ 3600 IN SOA ns1.example.net. Hostmaster.Example.NET. 4000000000 1800 900 604800 86400\n@ 3600 IN NS ns1.example.net.\n"

// usual is what is in most zones, and hard about it: upper case, a wildcard, an empty non-terminal.
const usual = head + `
WWW 300 IN A 192.0.2.1
www 300 IN AAAA 2001:db8::1
*.wild 60 IN TXT "any"
a.b.c.ent 60 IN A 192.0.2.2
UPPER.Case 60 IN CNAME WWW.Upper.Example.COM.
_sip._tcp 60 IN SRV 1 2 5060 Sip.Example.NET.
@ 60 IN MX 10 MAIL.Example.NET.
`

const everything = usual + `
text 60 IN TXT "" "quote \" backslash \\ semicolon ; high \200 null \000"
text 60 IN TXT "second"
naptr 60 IN NAPTR 100 50 "s" "SIP+D2U" "" _sip._udp.Example.NET.
caa 60 IN CAA 0 issue "ca.example.net"
_443._tcp 60 IN TLSA 3 1 1 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
sshfp 60 IN SSHFP 1 1 dd465c09cfa51fb45020cc83316fff21b9ec74ac
loc 60 IN LOC 51 56 0.123 N 5 54 0.000 E 4.00m 1.00m 10000.00m 10.00m
hinfo 60 IN HINFO "PC" "Linux"
rp 60 IN RP Mbox.Example.NET. Text.Example.NET.
afsdb 60 IN AFSDB 1 Afs.Example.NET.
uri 60 IN URI 10 1 "https://example.net/"
svc 60 IN SVCB 1 Svc.Example.NET. alpn=h2 port=8443
https 60 IN HTTPS 0 Svc.Example.NET.
dname 60 IN DNAME Other.Example.NET.
child 60 IN NS ns.child
child 60 IN DS 4711 13 2 d2abde240d7cd3ee6b4b28c54df034b97983a1d16e8a410e4561cb106618e971
ns.child 60 IN A 192.0.2.3
insecure 60 IN NS ns.child
unknown 60 IN TYPE65280 \# 4 0A0B0C0D
unknown 60 IN TYPE65281 \# 0
nimloc 60 IN TYPE32 \# 2 C00C
under_score 60 IN A 192.0.2.4
`

// plain has the types that can be handed over as text, and more that is hard about them: text of all kinds, a delegation
// with its glue.
const plain = usual + `
text 60 IN TXT "" "quote \" backslash \\ semicolon ; high \200 null \000 tab \009 line \010 $ORIGIN @ ( )"
text 60 IN TXT "second"
caa 60 IN CAA 0 issue "ca.example.net; account=1"
ptr 60 IN PTR Host.Example.NET.
child 60 IN NS ns.child
ns.child 60 IN A 192.0.2.3
under_score 0 IN A 192.0.2.4
root 2147483647 IN MX 0 .
`

// escapes has owners that PowerDNS's API refuses and pdnsutil takes. It lacks
// \000: a name with that octet does not survive PowerDNS's LMDB backend (4.7.3),
// which takes it for the end of a label.
const escapes = head + `
esc\.aped 60 IN A 192.0.2.5
sp\032ace 60 IN A 192.0.2.6
oct\200et\001 60 IN A 192.0.2.7
b\\s\"q\;c\(p\@a 60 IN CNAME B\\s\.T\"\032.Example.NET.
`

func zoneCases() []zoneCase {
	var big, many strings.Builder
	for i := range 240 {
		fmt.Fprintf(&big, "big 60 IN TXT \"%03d %s\"\n", i, strings.Repeat("x", 246))
	}
	for i := range 20_000 {
		fmt.Fprintf(&many, "host-%d 300 IN A 192.0.2.%d\n", i, i%256)
	}
	return []zoneCase{
		{name: "unsigned", zone: "everything.example.", text: everything},
		{name: "unknown types", zone: "unknown.example.", text: everything + "amt 60 IN TYPE260 \\# 3 00FF01\n", records: []string{
			"unknown.unknown.example.\t60\tCLASS1\tTYPE65280\t\\# 4 0a0b0c0d",
			"unknown.unknown.example.\t60\tCLASS1\tTYPE65281\t\\# 0 ",
			// An AMTRELAY record with an octet too many.
			"amt.unknown.example.\t60\tCLASS1\tTYPE260\t\\# 3 00ff01",
		}},
		{name: "NSEC", zone: "nsec.example.", text: everything, signed: true},
		{name: "NSEC3", zone: "nsec3.example.", text: everything, signed: true, nsec3: "1 0 0 -"},
		{name: "NSEC3 with salt and opt-out", zone: "optout.example.", text: everything, signed: true, nsec3: "1 1 5 ab"},
		{name: "escaped names", zone: "escapes.example.", text: escapes, load: true, records: []string{
			"esc\\.aped.escapes.example.\t60\tIN\tA\t192.0.2.5",
			"oct\\200et\\001.escapes.example.\t60\tIN\tA\t192.0.2.7",
		}},
		{name: "escaped names, signed", zone: "escsigned.example.", text: escapes, load: true, signed: true, nsec3: "1 0 0 -"},
		{name: "plain types", zone: "plain.example.", text: plain, plain: true},
		{name: "RFC 2317", plain: true, zone: "0/26.2.0.192.in-addr.arpa.", text: head + "1 60 IN PTR Host.Example.NET.\n"},
		{name: "RRset of 60 KiB", zone: "big.example.", text: head + big.String()},
		{name: "signed RRset of 60 KiB", zone: "bigsigned.example.", text: head + big.String(), signed: true},
		{name: "20,000 records", zone: "many.example.", text: head + many.String()},
		{name: "signed, serial at the wrap", zone: "wrap.example.", text: strings.Replace(head, "4000000000", "4294967295", 1), signed: true},
		{name: "serial at the wrap", zone: "wraps.example.", text: strings.Replace(head, "4000000000", "4294967295", 1), plain: true},
	}
}

func TestZonesComeThrough(t *testing.T) {
	for _, backend := range pdnstest.Backends {
		t.Run("from "+backend, func(t *testing.T) {
			source := pdnstest.Primary(t, backend)
			takers := map[string]taker{}
			for _, backend := range pdnstest.Backends {
				takers[backend] = startTaker(t, backend)
			}
			for _, zc := range zoneCases() {
				t.Run(zc.name, func(t *testing.T) { zc.mustComeThrough(t, source, takers) })
			}
		})
	}
}

func (zc zoneCase) mustComeThrough(t *testing.T, source *pdnstest.Server, takers map[string]taker) {
	if zc.load {
		source.LoadZone(t, zc.zone, zc.text)
	} else {
		source.CreateZone(t, zc.zone, zc.text)
	}
	if zc.signed {
		source.Sign(t, strings.ReplaceAll(zc.zone, "/", "=2F"), zc.nsec3, false)
	}
	content, sum := pull(t, source, zc.zone)
	if sum.Signed != zc.signed {
		t.Errorf("signed: %v", sum.Signed)
	}
	mustHold(t, content, zc.records)
	if want := parsed(t, zc); !zc.signed && zc.records == nil && want != sum.Digest {
		t.Errorf("digest %s, that of the zone's text is %s", sum.Digest, want)
	}
	for _, taker := range takers {
		taker.bring(t, zc.zone, content)
		taker.mustServe(t, zc.zone, sum)
	}
	text, hollow, err := transfer.Text(bytes.NewReader(content), 64<<10)
	if zc.plain != (err == nil) || err != nil && !errors.Is(err, transfer.ErrNoText) {
		t.Errorf("as text: %v", err)
	}
	for _, taker := range takers {
		if zc.plain {
			taker.mustTakeText(t, zc.zone, text, hollow, sum)
		}
	}
}

// mustTakeText makes the zone anew with its content, and wants it to be what a transfer makes it.
func (k taker) mustTakeText(t *testing.T, zone, text string, hollow bool, sum transfer.Summary) {
	t.Helper()
	names := []string{"c.ent." + zone, "ns.child." + zone, "x.wild." + zone, "nowhere." + zone}
	before := k.answers(t, names)
	if err := k.api.DeleteZone(t.Context(), zone); err != nil {
		t.Fatal(err)
	}
	if err := k.api.CreateFilledZone(t.Context(), zone, k.transfer.Addr(), "pdns-distribute", text, hollow); err != nil {
		t.Fatal(err)
	}
	if err := k.api.FlushCache(t.Context(), zone); err != nil {
		t.Fatal(err)
	}
	k.mustServe(t, zone, sum)
	if after := k.answers(t, names); after != before {
		t.Errorf("made with its text, it answers\n%s\nafter a transfer it did\n%s", after, before)
	}
}

// answers is what is answered to questions for TXT at these names: where empty non-terminals, delegations and wildcards are.
func (k taker) answers(t *testing.T, names []string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range names {
		question := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
		answer, _, err := new(dns.Client).ExchangeContext(t.Context(), question, k.DNS)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&all, name, dns.RcodeToString[answer.Rcode], answer.Authoritative, answer.Answer, answer.Ns)
	}
	return all.String()
}

// parsed returns the digest of a case's text.
func parsed(t *testing.T, zc zoneCase) string {
	t.Helper()
	digest := pdns.NewDigester()
	parser := dns.NewZoneParser(strings.NewReader(zc.text), zc.zone, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		if err := digest.Add(rr); err != nil {
			t.Fatal(err)
		}
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	sum, err := digest.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

func mustHold(t *testing.T, content []byte, records []string) {
	t.Helper()
	have := map[string]bool{}
	for rr, err := range transfer.Read(bytes.NewReader(content)) {
		if err != nil {
			t.Fatal(err)
		}
		have[rr.String()] = true
	}
	for _, record := range records {
		if !have[record] {
			t.Errorf("content lacks %q", record)
		}
	}
}

// PowerDNS 4.7.3 puts a hundred records into a message, and gives up where they do not fit: the error says what helps.
func TestRecordsThatAreTooLargeTogether(t *testing.T) {
	source := pdnstest.Primary(t, pdnstest.Backends[0])
	var text strings.Builder
	text.WriteString(head)
	for i := range 120 {
		fmt.Fprintf(&text, "large%d 60 IN TXT%s\n", i, strings.Repeat(fmt.Sprintf(` "%s"`, strings.Repeat("x", 250)), 3))
	}
	source.CreateZone(t, "large.example.", text.String())
	_, err := transfer.DigestOf(t.Context(), source.DNS, "large.example.")
	if err == nil || !strings.Contains(err.Error(), "workaround-11804=yes") {
		t.Error(err)
	}
}
