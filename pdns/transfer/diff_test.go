package transfer

import (
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// What differs, put into the content as it was, gives the content as it is.
func TestDiff(t *testing.T) {
	top := "example.org. 60 IN NS ns1.example.org."
	for _, c := range []struct {
		name    string
		was, is []string
		want    []string // name, type and count of records
	}{
		{"the serial", nil, nil, nil},
		{"a value", []string{"WWW.example.org. 60 IN TXT a"}, []string{`www.example.org. 60 IN TXT "b;\"c\\" "d"`}, []string{"www.example.org. TXT 1"}},
		{"a TTL", []string{"a.example.org. 60 IN A 192.0.2.1"}, []string{"a.example.org. 61 IN A 192.0.2.1"}, []string{"a.example.org. A 1"}},
		{"one record of several", []string{"a.example.org. 60 IN MX 1 a.", "a.example.org. 60 IN MX 2 b."}, []string{"a.example.org. 60 IN MX 2 b."}, []string{"a.example.org. MX 1"}},
		{
			"a CNAME for another", []string{"a.example.org. 60 IN A 192.0.2.1"}, []string{"a.example.org. 60 IN CNAME b.example.org."},
			[]string{"a.example.org. A 0", "a.example.org. CNAME 1"},
		},
		{"a name that comes", nil, []string{"a.example.org. 60 IN AAAA 2001:db8::1"}, []string{"a.example.org. AAAA 1"}},
		{"a name that goes", []string{"*.example.org. 60 IN CAA 0 issue \"ca.example\""}, nil, []string{"*.example.org. CAA 0"}},
		{
			"below a name that stays", []string{"a.example.org. 60 IN A 192.0.2.1"},
			[]string{"a.example.org. 60 IN A 192.0.2.1", "_acme-challenge.a.example.org. 60 IN TXT x"}, []string{"_acme-challenge.a.example.org. TXT 1"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			was, _ := encoded(t, append([]string{soa1, top}, c.was...)...)
			is, want := encoded(t, append([]string{soa2, top}, c.is...)...)
			whole := bytes.Clone(was.Bytes())
			sets, err := Diff("example.org.", was, is)
			require.NoError(t, err)
			var others []string
			for _, set := range sets {
				if set.Type != "SOA" {
					others = append(others, set.Name+" "+set.Type+" "+string(rune('0'+len(set.Records))))
				}
			}
			require.ElementsMatch(t, c.want, others)
			have, err := Summarize(Merge(io.NopCloser(bytes.NewReader(whole)), sets))
			require.NoError(t, err)
			require.Equal(t, want.Digest, have.Digest)
		})
	}
}

func TestDiffThatIsNotTold(t *testing.T) {
	top := "example.org. 60 IN NS ns1.example.org."
	for _, c := range []struct {
		name    string
		was, is []string
		why     string
	}{
		{"NS at the top", nil, []string{"example.org. 60 IN NS ns2.example.org."}, "type NS"},
		{"a delegation", nil, []string{"a.example.org. 60 IN NS ns2.example.org."}, "type NS"},
		{"below a delegation", []string{"a.example.org. 60 IN NS ns.a.example.org."}, []string{"a.example.org. 60 IN NS ns.a.example.org.", "ns.a.example.org. 60 IN A 192.0.2.1"}, "below a delegation"},
		{"below a DNAME", []string{"example.org. 60 IN DNAME example.net."}, []string{"example.org. 60 IN DNAME example.net.", "a.example.org. 60 IN A 192.0.2.1"}, "below a delegation"},
		{"an empty non-terminal comes", nil, []string{"a.b.example.org. 60 IN A 192.0.2.1"}, "where nothing is"},
		{"an empty non-terminal ends", []string{"a.b.example.org. 60 IN A 192.0.2.1"}, nil, "where nothing is"},
		{"an empty non-terminal is filled", []string{"a.b.example.org. 60 IN A 192.0.2.1"}, []string{"a.b.example.org. 60 IN A 192.0.2.1", "b.example.org. 60 IN A 192.0.2.1"}, "above a.b.example.org."},
		{"an empty non-terminal stays", []string{"a.b.example.org. 60 IN A 192.0.2.1", "b.example.org. 60 IN A 192.0.2.1"}, []string{"a.b.example.org. 60 IN A 192.0.2.1"}, "above a.b.example.org."},
		{"beside DS", []string{"a.example.org. 60 IN DS 1 8 2 " + strings.Repeat("ab", 32)}, []string{"a.example.org. 60 IN DS 1 8 2 " + strings.Repeat("ab", 32), "a.example.org. 60 IN TXT x"}, "type DS"},
		{"a type that is not read alike", nil, []string{"example.org. 60 IN NAPTR 1 2 \"s\" \"x\" \"\" d."}, ErrNoText.Error()},
		{"an unknown type", nil, []string{`a.example.org. 60 IN TYPE65402 \# 1 00`}, "TYPE65402"},
		{"TTLs that differ", nil, []string{"a.example.org. 60 IN A 192.0.2.1", "a.example.org. 61 IN A 192.0.2.2"}, ErrNoText.Error()},
		{"an escaped name", nil, []string{`a\.b.example.org. 60 IN A 192.0.2.1`}, ErrNoText.Error()},
		{"much", nil, []string{"a.example.org. 60 IN TXT" + strings.Repeat(" "+strings.Repeat("x", 250), pdns.MaxDiffSize/250+1)}, "larger than"},
	} {
		t.Run(c.name, func(t *testing.T) {
			was, _ := encoded(t, append([]string{soa1, top}, c.was...)...)
			is, _ := encoded(t, append([]string{soa2, top}, c.is...)...)
			sets, err := Diff("example.org.", was, is)
			require.ErrorContains(t, err, c.why)
			require.Empty(t, sets)
		})
	}
	broken, _ := encoded(t, soa1, top)
	_, err := Diff("example.org.", strings.NewReader("rubbish"), broken)
	require.Error(t, err)
}

// What a server answers, put into the content as it was, gives the content as it is.
func TestBefore(t *testing.T) {
	rr := func(line string) dns.RR {
		record, err := dns.NewRR(line)
		require.NoError(t, err)
		return record
	}
	was := []string{
		soa1, "example.org. 60 IN NS ns1.example.org.", "WWW.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN TXT stays", "old.example.org. 60 IN A 192.0.2.3",
	}
	named := func(name, kind string) pdns.RRsetName { return pdns.RRsetName{Name: name + "example.org.", Type: kind} }
	for _, c := range []struct {
		name    string
		also    []string
		answers map[pdns.RRsetName][]dns.RR
		is      []string
		why     string
	}{
		{
			name: "replaced", answers: map[pdns.RRsetName][]dns.RR{named("www.", "A"): {rr("www.example.org. 30 IN A 192.0.2.7"), rr("www.example.org. 30 IN A 192.0.2.8")}},
			is: []string{was[1], "www.example.org. 30 IN A 192.0.2.7", "www.example.org. 30 IN A 192.0.2.8", was[3], was[4]},
		},
		{name: "as it was", answers: map[pdns.RRsetName][]dns.RR{named("www.", "A"): {rr(was[2])}}, is: was[1:]},
		{name: "gone", answers: map[pdns.RRsetName][]dns.RR{named("old.", "A"): nil}, is: was[1:4]},
		{name: "new", answers: map[pdns.RRsetName][]dns.RR{named("_a.www.", "TXT"): {rr(`_a.www.example.org. 60 IN TXT "a \"b\""`)}}, is: append(was[1:5:5], `_a.www.example.org. 60 IN TXT "a \"b\""`)},
		{
			name: "a CNAME for an address", answers: map[pdns.RRsetName][]dns.RR{named("old.", "A"): nil, named("old.", "CNAME"): {rr("old.example.org. 60 IN CNAME a.")}},
			is: append(was[1:4:4], "old.example.org. 60 IN CNAME a."),
		},
		{name: "what a wildcard may answer", also: []string{"*.example.org. 60 IN A 192.0.2.9"}, answers: map[pdns.RRsetName][]dns.RR{named("old.", "A"): {rr("old.example.org. 60 IN A 192.0.2.9")}}, why: "*.example.org. may be"},
		{
			name: "a wildcard comes, that may answer already", why: "*.example.org. may be",
			answers: map[pdns.RRsetName][]dns.RR{named("*.", "A"): {rr("*.example.org. 60 IN A 192.0.2.9")}, named("old.", "A"): {rr("old.example.org. 60 IN A 192.0.2.9")}},
		},
		{name: "an empty non-terminal", answers: map[pdns.RRsetName][]dns.RR{named("a.b.", "A"): {rr("a.b.example.org. 60 IN A 192.0.2.9")}}, why: "where nothing is"},
		{name: "what PowerDNS works out", also: []string{"lua.example.org. 60 IN TYPE65402 \\# 1 00"}, answers: map[pdns.RRsetName][]dns.RR{named("lua.", "A"): {rr("lua.example.org. 60 IN A 192.0.2.9")}}, why: "TYPE65402"},
	} {
		t.Run(c.name, func(t *testing.T) {
			before, _ := encoded(t, append(was[:5:5], c.also...)...)
			whole := bytes.Clone(before.Bytes())
			c.answers[named("", "SOA")] = []dns.RR{rr(soa2)}
			had, err := ReadBefore("example.org.", before)
			var sets []pdns.RRset
			if err == nil {
				sets, err = had.Diff(c.answers)
			}
			if c.why != "" {
				require.ErrorContains(t, err, c.why)
				require.Empty(t, sets)
				return
			}
			require.NoError(t, err)
			_, want := encoded(t, append([]string{soa2}, c.is...)...)
			have, err := Summarize(Merge(io.NopCloser(bytes.NewReader(whole)), sets))
			require.NoError(t, err)
			require.Equal(t, want.Digest, have.Digest)
		})
	}
	_, err := ReadBefore("example.org.", strings.NewReader("rubbish"))
	require.Error(t, err)
}
