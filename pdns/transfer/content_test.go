package transfer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// records parses zone text below example.
func records(text string) iter.Seq2[dns.RR, error] {
	return func(yield func(dns.RR, error) bool) {
		parser := dns.NewZoneParser(strings.NewReader(text), "example.", "")
		for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
			if !yield(rr, nil) {
				return
			}
		}
		if err := parser.Err(); err != nil {
			yield(nil, err)
		}
	}
}

func encode(t testing.TB, text string) ([]byte, transfer.Summary) {
	t.Helper()
	var content bytes.Buffer
	sum, err := transfer.Encode(&content, records(text))
	if err != nil {
		t.Fatal(err)
	}
	return content.Bytes(), sum
}

const soaLine = "example. 3600 IN SOA ns.example. a.example. 3000000001 1800 900 604800 86400\n"

func TestContentRoundTrip(t *testing.T) {
	text := soaLine + "example. 60 IN NS ns.example.\nWWW.example. 60 IN A 192.0.2.1\n" +
		"x.example. 60 IN TYPE65280 \\# 0\nx.example. 60 IN TYPE65281 \\# 2 0102\n" +
		"example. 60 IN RRSIG A 13 1 60 20300101000000 20250101000000 1 example. AAAA\n"
	content, sum := encode(t, text)
	if sum.Serial != 3000000001 || sum.Records != 6 || !sum.Signed || sum.Size != int64(len(content)) || len(sum.Digest) != 96 {
		t.Errorf("summary is %+v", sum)
	}
	var want, got []string
	for rr := range records(text) {
		want = append(want, rr.String())
	}
	// One octet a read: the content comes from a network.
	for rr, err := range transfer.Read(iotest.OneByteReader(bytes.NewReader(content))) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rr.String())
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("records are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if again, err := transfer.Summarize(bytes.NewReader(content)); err != nil || again != sum {
		t.Errorf("summary of what was written is %+v, %v, want %+v", again, err, sum)
	}
}

// The first end of all signatures counts, whichever comes first, and the kind
// of denial.
func TestSummaryOfSignatures(t *testing.T) {
	const first, second = "example. 60 IN RRSIG A 13 1 60 20261203000000 20250101000000 1 example. AAAA\n",
		"www.example. 60 IN RRSIG A 13 2 60 20261126000000 20250101000000 1 example. AAAA\n"
	want := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for _, text := range []string{soaLine + first + second, soaLine + second + first} {
		content, sum := encode(t, text)
		if !sum.Expires.Equal(want) || sum.NSEC3 {
			t.Errorf("%+v", sum)
		}
		if again, err := transfer.Summarize(bytes.NewReader(content)); err != nil || again != sum {
			t.Errorf("read again: %+v, %v", again, err)
		}
	}
	if _, sum := encode(t, soaLine+"example. 60 IN NSEC3PARAM 1 0 0 -\n"); !sum.NSEC3 || sum.Signed || !sum.Expires.IsZero() {
		t.Errorf("NSEC3 alone: %+v", sum)
	}
}

func TestEncodeRefuses(t *testing.T) {
	broken := errors.New("broken source")
	tests := []struct {
		name    string
		records iter.Seq2[dns.RR, error]
		want    string
	}{
		{"nothing", records(""), "without records"},
		{"no SOA first", records("example. 60 IN NS ns.example.\n" + soaLine), "not with the SOA"},
		{"second SOA", records(soaLine + soaLine), "second SOA"},
		{"outside", records(soaLine + "example.org. 60 IN A 192.0.2.1\n"), "outside the zone"},
		{"class", records(soaLine + "x.example. 60 CH TXT a\n"), "class 3"},
		{"broken source", func(yield func(dns.RR, error) bool) { yield(nil, broken) }, broken.Error()},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			_, err := transfer.Encode(&out, tt.records)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%v, want an error with %q", err, tt.want)
			}
			if _, err := transfer.Summarize(&out); err == nil {
				t.Error("what was written before the error reads as whole content")
			}
		})
	}
}

func TestEncodeReportsWriter(t *testing.T) {
	_, err := transfer.Encode(failingWriter{}, records(soaLine))
	if !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%v, want the writer's error", err)
	}
	// The encoder that saw the error must not spoil the next content.
	content, _ := encode(t, soaLine)
	if _, err := transfer.Summarize(bytes.NewReader(content)); err != nil {
		t.Error(err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// compressed is content made by hand.
func compressed(t testing.TB, raw []byte) []byte {
	t.Helper()
	zw, err := rawEncoder()
	if err != nil {
		t.Fatal(err)
	}
	return zw.EncodeAll(raw, nil)
}

var rawEncoder = sync.OnceValues(func() (*zstd.Encoder, error) { return zstd.NewWriter(nil) })

// wireRecord is one record with its length before it.
func wireRecord(t testing.TB, text string) []byte {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 1000)
	n, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		t.Fatal(err)
	}
	return append(binary.AppendUvarint(nil, uint64(n)), buf[:n]...)
}

func TestReadRefuses(t *testing.T) {
	soa := wireRecord(t, soaLine)
	whole, _ := encode(t, soaLine+"example. 60 IN NS ns.example.\n")
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 1
	tests := []struct {
		name    string
		content []byte
		want    string
	}{
		{"nothing", nil, "unexpected EOF"},
		{"empty stream", compressed(t, nil), "unexpected EOF"},
		{"no zstd", []byte("this is no zstd stream at all"), "magic"},
		{"cut short", whole[:len(whole)-5], "unexpected EOF"},
		{"a bit flipped", flipped, ""},
		{"length cut short", compressed(t, append(bytes.Clone(soa), 0x80)), "unexpected EOF"},
		{"record cut short", compressed(t, soa[:len(soa)-1]), "unexpected EOF"},
		{"length too large", compressed(t, append(bytes.Clone(soa), binary.AppendUvarint(nil, 1<<40)...)), "claims to be"},
		{"length over 64 bits", compressed(t, bytes.Repeat([]byte{0xff}, 20)), "overflow"},
		{"empty record", compressed(t, append(bytes.Clone(soa), 0)), "cut short"},
		{"octets after RDATA", compressed(t, append([]byte{soa[0] + 1}, append(bytes.Clone(soa[1:]), 0)...)), "RDATA"},
		{"no SOA", compressed(t, wireRecord(t, "example. 60 IN NS ns.example.")), "not with the SOA"},
		{"second SOA", compressed(t, append(bytes.Clone(soa), soa...)), "second SOA"},
		{"outside the zone", compressed(t, append(bytes.Clone(soa), wireRecord(t, "x.org. 60 IN A 192.0.2.1")...)), "outside"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var last error
			for rr, err := range transfer.Read(bytes.NewReader(tt.content)) {
				if last != nil {
					t.Fatalf("%v follows an error", rr)
				}
				last = err
			}
			if last == nil || !strings.Contains(last.Error(), tt.want) {
				t.Errorf("%v, want an error with %q", last, tt.want)
			}
			if _, err := transfer.Summarize(bytes.NewReader(tt.content)); err == nil {
				t.Error("it has a summary")
			}
		})
	}
}

// A reader that stops early must leave nothing behind that spoils others.
func TestReadStopsEarly(t *testing.T) {
	content, sum := encode(t, soaLine+"example. 60 IN NS ns.example.\n")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for range 50 {
				for range transfer.Read(bytes.NewReader(content)) {
					break
				}
				if got, err := transfer.Summarize(bytes.NewReader(content)); err != nil || got != sum {
					t.Errorf("%+v, %v", got, err)
				}
			}
		})
	}
	group.Wait()
}

// No octets crash it, and what can be summed up can be read.
func FuzzRead(f *testing.F) {
	whole, _ := encode(f, soaLine+"example. 60 IN NS ns.example.\nx.example. 60 IN TYPE260 \\# 3 00FF01\n")
	f.Add(whole)
	f.Add(compressed(f, wireRecord(f, soaLine)))
	f.Add([]byte("\x28\xb5\x2f\xfd"))
	f.Fuzz(func(t *testing.T, data []byte) {
		readAgain(t, data)
		// The fuzzer does not find its way through a checksum: take it as the records too.
		readAgain(t, compressed(t, data))
	})
}

func readAgain(t *testing.T, content []byte) {
	sum, err := transfer.Summarize(bytes.NewReader(content))
	if err != nil {
		return
	}
	n := 0
	for rr, err := range transfer.Read(bytes.NewReader(content)) {
		if err != nil {
			t.Fatalf("%+v is summed up and not read: %v", sum, err)
		}
		_ = rr.String()
		n++
	}
	if n < sum.Records {
		t.Fatalf("%d records are read, %d summed up", n, sum.Records)
	}
}
