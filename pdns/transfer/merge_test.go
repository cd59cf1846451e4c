package transfer

import (
	"bytes"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// encoded is the content encoding of these lines, the SOA first.
func encoded(t *testing.T, lines ...string) (*bytes.Buffer, Summary) {
	t.Helper()
	var content bytes.Buffer
	summary, err := Encode(&content, func(yield func(dns.RR, error) bool) {
		for _, line := range lines {
			if rr, err := dns.NewRR(line); !yield(rr, err) {
				return
			}
		}
	})
	require.NoError(t, err)
	return &content, summary
}

const (
	soa1 = "example.org. 60 IN SOA ns1.example.org. hm.example.org. 1 2 3 4 5"
	soa2 = "example.org. 60 IN SOA ns1.example.org. hm.example.org. 2 2 3 4 5"
)

var newSOA = pdns.RRset{Name: "example.org.", Type: "SOA", TTL: 60, Records: []string{"ns1.example.org. hm.example.org. 2 2 3 4 5"}}

func TestMerge(t *testing.T) {
	base := []string{
		soa1, "example.org. 60 IN NS ns1.example.org.", "WWW.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN A 192.0.2.2",
		"www.example.org. 60 IN TXT \"stays\"", "old.example.org. 60 IN A 192.0.2.3",
	}
	content, _ := encoded(t, base...)
	sets := []pdns.RRset{
		newSOA,
		{Name: "www.example.org.", Type: "A", TTL: 300, Records: []string{"192.0.2.9"}},
		{Name: "old.example.org.", Type: "A"},
		{Name: "never.example.org.", Type: "A"},
		{Name: "new.example.org.", Type: "MX", TTL: 60, Records: []string{"10 a.example.org.", "20 b.example.org."}},
	}
	_, want := encoded(t, soa2, "example.org. 60 IN NS ns1.example.org.", "www.example.org. 300 IN A 192.0.2.9",
		"www.example.org. 60 IN TXT \"stays\"", "new.example.org. 60 IN MX 10 a.example.org.", "new.example.org. 60 IN MX 20 b.example.org.")
	merged := Merge(io.NopCloser(bytes.NewReader(content.Bytes())), sets)
	have, err := Summarize(merged)
	require.NoError(t, err)
	require.NoError(t, merged.Close())
	want.Size, have.Size = 0, 0
	require.Equal(t, want, have)
}

func TestMergeOfWhatCannotBe(t *testing.T) {
	content, _ := encoded(t, soa1, "example.org. 60 IN NS ns1.example.org.")
	whole := content.Bytes()
	for _, c := range []struct {
		base []byte
		sets []pdns.RRset
		want string
	}{
		{whole, nil, "no SOA"},
		{whole, []pdns.RRset{newSOA, {Name: "www.example.org.", Type: "A", TTL: 60, Records: []string{"nonsense"}}}, "www.example.org. A"},
		{whole[:len(whole)-5], []pdns.RRset{newSOA}, "unexpected EOF"},
		{nil, []pdns.RRset{newSOA}, "read zone content"},
		{[]byte("{}"), []pdns.RRset{newSOA}, "read zone content"},
	} {
		_, err := Summarize(Merge(io.NopCloser(bytes.NewReader(c.base)), c.sets))
		require.ErrorContains(t, err, c.want)
	}
}

// closing tells when it was closed.
type closing struct {
	io.Reader
	closed chan struct{}
}

func (c closing) Close() error {
	close(c.closed)
	return nil
}

func TestAMergeThatIsGivenUpClosesItsBase(t *testing.T) {
	lines := []string{soa1}
	for range 5000 {
		lines = append(lines, "www.example.org. 60 IN TXT \""+strings.Repeat("x", 200)+"\"")
	}
	content, _ := encoded(t, lines...)
	base := closing{content, make(chan struct{})}
	require.NoError(t, Merge(base, []pdns.RRset{newSOA}).Close())
	<-base.closed
}

func TestWhetherContentsAreTheSame(t *testing.T) {
	lines := []string{soa1, "example.org. 60 IN NS ns1.example.org.", "www.example.org. 60 IN A 192.0.2.1", "www.example.org. 60 IN A 192.0.2.2"}
	digest := pdns.NewDigester()
	for _, line := range lines {
		rr, err := dns.NewRR(line)
		require.NoError(t, err)
		require.NoError(t, digest.Add(rr))
	}
	records := func(lines ...string) iter.Seq2[pdns.Record, error] {
		return func(yield func(pdns.Record, error) bool) {
			for _, line := range lines {
				rr, err := dns.NewRR(line)
				require.NoError(t, err)
				wire := make([]byte, 500)
				end, err := dns.PackRR(rr, wire, 0, nil, false)
				require.NoError(t, err)
				if rec, err := pdns.ParseRecord(wire[:end]); !yield(rec, err) {
					return
				}
			}
		}
	}
	for _, c := range []struct {
		what  string
		lines []string
		same  bool
	}{
		{"the same", lines, true},
		{"in another order, one twice, another case", []string{lines[3], "WWW.example.org. 60 IN A 192.0.2.1", lines[1], lines[3], "example.org. 60 IN SOA NS1.example.org. hm.example.org. 1 2 3 4 5"}, true},
		{"one less", lines[:3], false},
		{"one twice for another", append(lines[:3:3], lines[2]), false},
		{"one more", append(lines[:4:4], "more.example.org. 60 IN A 192.0.2.1"), false},
		{"another TTL", append(lines[:3:3], "www.example.org. 61 IN A 192.0.2.2"), false},
		{"another serial", append([]string{soa2}, lines[1:]...), false},
		{"another type", append(lines[:3:3], "www.example.org. 60 IN TXT x"), false},
		{"nothing", nil, false},
	} {
		same, err := digest.Same(records(c.lines...))
		require.NoError(t, err)
		require.Equal(t, c.same, same, c.what)
	}
	_, err := digest.Same(func(yield func(pdns.Record, error) bool) { yield(pdns.Record{}, io.ErrUnexpectedEOF) })
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}
