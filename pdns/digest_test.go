package pdns

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// readZone reads a zone file of testdata.
func readZone(t testing.TB, file string) []dns.RR {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	return parseZone(t, string(text))
}

func parseZone(t testing.TB, text string) []dns.RR {
	t.Helper()
	var rrs []dns.RR
	parser := dns.NewZoneParser(strings.NewReader(text), "example.", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		rrs = append(rrs, rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	return rrs
}

func digestOf(t testing.TB, rrs []dns.RR) (string, int) {
	t.Helper()
	d := NewDigester()
	for _, rr := range rrs {
		if err := d.Add(rr); err != nil {
			t.Fatal(err)
		}
	}
	sum, err := d.Sum()
	if err != nil {
		t.Fatal(err)
	}
	return sum, d.Records()
}

// goldens are digests that must never change: published versions hold them. Those of RFC
// 8976 stand in its appendix A; the third was computed by this code.
var goldens = []struct {
	file    string
	digest  string
	records int
}{
	{"rfc8976-a1.zone", "c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c", 5},
	{"rfc8976-a2.zone", "a3b69bad980a3504e1cffcb0fd6397f93848071c93151f552ae2f6b1711d4bd2d8b39808226d7b9db71e34b72077f8fe", 18},
	{"signed.zone", "009b57be545c479669abbef228a4b6e0d4df18eb2825c56b4b3c31f631dcc4d0d3520f3fba2fe4a14e5e81679c01fc38", 13},
}

func TestDigestGolden(t *testing.T) {
	for _, golden := range goldens {
		t.Run(golden.file, func(t *testing.T) {
			digest, records := digestOf(t, readZone(t, golden.file))
			if digest != golden.digest || records != golden.records {
				t.Errorf("digest %s of %d records, want %s of %d", digest, records, golden.digest, golden.records)
			}
		})
	}
}

func TestDigestTakesAnyOrderAndRepeats(t *testing.T) {
	for _, golden := range goldens {
		rrs := readZone(t, golden.file)
		want, records := digestOf(t, rrs)
		for seed := range uint64(50) {
			shuffled := append(slices.Clone(rrs), rrs[0], rrs[len(rrs)-1]) // as AXFR ends with the SOA
			rand.New(rand.NewPCG(seed, 1)).Shuffle(len(shuffled), func(i, j int) {
				shuffled[i], shuffled[j] = shuffled[j], shuffled[i]
			})
			if got, n := digestOf(t, shuffled); got != want || n != records {
				t.Fatalf("%s, seed %d: digest %s of %d records, want %s of %d", golden.file, seed, got, n, want, records)
			}
		}
	}
}

func TestDigestSeesWhatCounts(t *testing.T) {
	const base = "example. 60 IN SOA ns1 admin 1 1800 900 604800 86400\n"
	tests := []struct {
		name, a, b string
		same       bool
	}{
		{"signature octets", "@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 example. AAAA",
			"@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 example. BBBBBBBB", true},
		{"signer's case", "@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 example. AAAA",
			"@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 EXAMPLE. AAAA", true},
		{"signature's expiry", "@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 example. AAAA",
			"@ 60 IN RRSIG A 13 1 60 20300101000001 20250101000000 1 example. AAAA", false},
		{"key tag", "@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 example. AAAA",
			"@ 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 2 example. AAAA", false},
		{"owner's case", "WWW 60 IN A 192.0.2.1", "www 60 IN A 192.0.2.1", true},
		{"escaped owner", `\119ww 60 IN A 192.0.2.1`, "www 60 IN A 192.0.2.1", true},
		{"target's case", "@ 60 IN MX 10 MAIL", "@ 60 IN MX 10 mail", true},
		{"second name's case", "@ 60 IN RP a B", "@ 60 IN RP a b", true},
		{"case after strings", `@ 60 IN NAPTR 1 2 "a" "b" "c" D`, `@ 60 IN NAPTR 1 2 "a" "b" "c" d`, true},
		{"case in strings", `@ 60 IN NAPTR 1 2 "A" "b" "c" d`, `@ 60 IN NAPTR 1 2 "a" "b" "c" d`, false},
		{"text's case", `@ 60 IN TXT "A"`, `@ 60 IN TXT "a"`, false},
		{"NSEC's next name, RFC 6840 section 5.1", "@ 60 IN NSEC A A", "@ 60 IN NSEC a A", false},
		{"SVCB's target", "@ 60 IN SVCB 1 A", "@ 60 IN SVCB 1 a", false},
		{"TTL", "@ 60 IN A 192.0.2.1", "@ 61 IN A 192.0.2.1", false},
		{"unknown type", `@ 60 IN TYPE65280 \# 1 41`, `@ 60 IN TYPE65280 \# 1 61`, false},
		{"type by number", `@ 60 IN TYPE1 \# 4 C0000201`, "@ 60 IN A 192.0.2.1", true},
		{"no record", "", "@ 60 IN A 192.0.2.1", false},
		{"string boundaries", `@ 60 IN TXT "a" "b"`, `@ 60 IN TXT "ab"`, false},
		{"label boundaries", `a\.b 60 IN A 192.0.2.1`, "a.b 60 IN A 192.0.2.1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a, _ := digestOf(t, parseZone(t, base+tt.a+"\n"))
			b, _ := digestOf(t, parseZone(t, base+tt.b+"\n"))
			if (a == b) != tt.same {
				t.Errorf("same digest: %v, want %v", a == b, tt.same)
			}
		})
	}
}

// A TTL that differs inside an RRset is no valid zone, and still the digest
// must not depend on the order.
func TestDigestOfRepeatsWithOtherTTL(t *testing.T) {
	rrs := parseZone(t, "example. 60 IN SOA ns1 admin 1 1800 900 604800 86400\n@ 60 IN A 192.0.2.1\n@ 30 IN A 192.0.2.1\n")
	a, n := digestOf(t, rrs)
	slices.Reverse(rrs)
	b, _ := digestOf(t, rrs)
	if a != b || n != 2 {
		t.Errorf("digests %s and %s of %d records, want one of 2", a, b, n)
	}
}

func TestDigestOfNothing(t *testing.T) {
	if sum, err := NewDigester().Sum(); err == nil {
		t.Errorf("digest %q of no records, want an error", sum)
	}
}

func TestDigestGoesOnAfterSum(t *testing.T) {
	rrs := readZone(t, "rfc8976-a1.zone")
	d := NewDigester()
	for _, rr := range rrs {
		if err := d.Add(rr); err != nil {
			t.Fatal(err)
		}
		if _, err := d.Sum(); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := d.Sum(); got != goldens[0].digest {
		t.Errorf("digest %s, want %s", got, goldens[0].digest)
	}
}

// RDATA that does not have its type's form must not crash it.
func TestDigestOfBrokenData(t *testing.T) {
	d := NewDigester()
	for rrtype := range lowered {
		for n := range 30 {
			wire := appendFixed([]byte{0}, rrtype, dns.ClassINET, 1, n)
			wire = append(wire, bytes.Repeat([]byte{63}, n)...)
			if err := d.AddWire(wire); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := d.Sum(); err != nil {
		t.Fatal(err)
	}
}

// The sort key orders names as RFC 4034 section 6.1 does in its example, and
// holds all of the name.
func TestSortKey(t *testing.T) {
	names := []string{
		".", "example.", "a.example.", "yljkjljk.a.example.", "Z.a.example.", "zABC.a.EXAMPLE.",
		"z.example.", `\001.z.example.`, "*.z.example.", `\200.z.example.`,
	}
	var last []byte
	for _, name := range names {
		wire, err := WireName(name)
		if err != nil {
			t.Fatal(err)
		}
		key := appendSortKey(nil, wire)
		if bytes.Compare(last, key) >= 0 {
			t.Errorf("%s does not sort after the name before it", name)
		}
		back, n := nameFromSortKey(nil, append(slices.Clone(key), "rest"...))
		if !foldEqual(back, wire) || n != len(key) {
			t.Errorf("%s comes back as %q", name, back)
		}
		last = key
	}
}

func TestDigestMemory(t *testing.T) {
	const records = 200_000
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	d := NewDigester()
	addMany(t, d, records)
	runtime.GC()
	runtime.ReadMemStats(&after)
	perRecord := float64(after.HeapAlloc-before.HeapAlloc) / records
	t.Logf("%.0f octets of memory a record", perRecord)
	if perRecord > 60 {
		t.Errorf("%.0f octets of memory a record, want at most 60", perRecord)
	}
	if d.Records() != records {
		t.Errorf("%d records, want %d", d.Records(), records)
	}
}

// digestOfMany is that of [addMany] of 200,000, from records that were sorted at once.
const digestOfMany = "8ffeb9b386854745e5cdb3c75c503d3bf55c91caaf9d57b9b76e82c3471f67e185865c215878df3a59a32b9681d1bdd1"

// A big zone is sorted in pieces. Its digest is that of all of it, in whatever order, and with
// what is repeated, with another TTL too.
func TestDigestOfManyRecords(t *testing.T) {
	const records = 200_000
	inOrder, repeated := NewDigester(), NewDigester()
	addMany(t, inOrder, records)
	later := &dns.A{Hdr: dns.RR_Header{Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 400}, A: []byte{192, 0, 2, 1}}
	for i := range records {
		if later.Hdr.Name = fmt.Sprintf("host-%07d.zone-of-many.example.", i); i%3 == 0 {
			if err := repeated.Add(later); err != nil {
				t.Fatal(err)
			}
		}
	}
	addMany(t, repeated, records)
	if sum, err := repeated.Sum(); err != nil || sum == "" {
		t.Fatalf("digest %q, %v", sum, err)
	}
	addMany(t, repeated, records)
	for what, d := range map[string]*Digester{"in order": inOrder, "repeated": repeated} {
		if len(d.sorter.runs) < 2 {
			t.Errorf("%s: sorted in %d pieces, which shows nothing", what, len(d.sorter.runs))
		}
		if sum, err := d.Sum(); err != nil || sum != digestOfMany {
			t.Errorf("%s: digest %s, %v, want %s", what, sum, err, digestOfMany)
		}
		if d.Records() != records {
			t.Errorf("%s: %d records, want %d", what, d.Records(), records)
		}
	}
	later.Hdr.Name = "one-more.zone-of-many.example."
	if err := repeated.Add(later); err != nil {
		t.Fatal(err)
	}
	if sum, _ := repeated.Sum(); sum == digestOfMany || repeated.Records() != records+1 {
		t.Errorf("digest %s of %d records with one more", sum, repeated.Records())
	}
}

// addMany adds n different A records in an order that is not canonical.
func addMany(t testing.TB, d *Digester, n int) {
	t.Helper()
	rr := &dns.A{Hdr: dns.RR_Header{Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: []byte{192, 0, 2, 1}}
	for i := range n {
		rr.Hdr.Name = fmt.Sprintf("host-%07d.zone-of-many.example.", i*7919%n)
		if err := d.Add(rr); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkDigest(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d := NewDigester()
				addMany(b, d, n)
				if _, err := d.Sum(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
