package transfer_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// sizes are the zone sizes that are measured, in records.
var sizes = []int{10, 100_000}

func benchText(n int, serial uint32) string {
	var text strings.Builder
	text.WriteString(strings.Replace(head, "4000000000", fmt.Sprint(serial), 1))
	for i := range n - 2 {
		fmt.Fprintf(&text, "host-%d 300 IN A 192.0.2.%d\n", i, i%256)
	}
	return text.String()
}

// BenchmarkPull measures AXFR from a real PowerDNS, digest and encoding.
func BenchmarkPull(b *testing.B) {
	source := pdnstest.Primary(b, pdnstest.SQLite)
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			zone := fmt.Sprintf("pull%d.example.", n)
			source.LoadZone(b, zone, benchText(n, 1))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := transfer.Pull(b.Context(), source.DNS, zone, io.Discard); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkServe measures the transfer server alone, without PowerDNS.
func BenchmarkServe(b *testing.B) {
	server := startServer(b, servingNothing)
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			text := strings.ReplaceAll(benchText(n, 1), "@ ", "example. ")
			content, _ := encode(b, text)
			offer := server.Offer("example.", 1, opener(content))
			defer offer.Withdraw()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if _, err := transfer.DigestOf(b.Context(), server.Addr(), "example."); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTake measures from axfr-retrieve until a real PowerDNS answers
// with the new serial.
func BenchmarkTake(b *testing.B) {
	for _, backend := range pdnstest.Backends {
		for _, n := range sizes {
			b.Run(fmt.Sprintf("%s/%d", backend, n), func(b *testing.B) {
				server := pdnstest.Secondary(b, backend)
				k := taker{
					Server: server, api: api.New(server.APIURL, server.APIKey),
					transfer: startServer(b, query.Local{Client: &query.Client{}, Server: server.DNS}),
				}
				const zone = "take.example."
				serial := uint32(0)
				for b.Loop() {
					b.StopTimer()
					serial++
					content, _ := encode(b, "$ORIGIN "+zone+"\n"+benchText(n, serial))
					b.StartTimer()
					k.bring(b, zone, bytes.Clone(content))
					k.waitSerial(b, zone, serial)
				}
			})
		}
	}
}

// waitSerial waits until the taker answers with a serial.
func (k taker) waitSerial(t testing.TB, zone string, serial uint32) {
	t.Helper()
	var client query.Client
	var answer query.Answer
	var err error
	tick := time.NewTicker(500 * time.Microsecond)
	defer tick.Stop()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); <-tick.C {
		answer, err = client.SOA(t.Context(), k.DNS, zone)
		if err == nil && answer.Served(zone) && answer.Serial == serial {
			return
		}
	}
	t.Fatalf("zone %s: %+v, %v, want serial %d", zone, answer, err, serial)
}
