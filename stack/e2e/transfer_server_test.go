package e2e

import (
	"bytes"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// The transfer server of a secondary's worker answers nothing it should not, and garbage does not disturb it.
func TestTransferServer(t *testing.T) {
	parallel(t)
	const zone = "offered.example."
	primary.create(t, zone, 1)
	waitServed(t, zone, 1)
	for _, n := range secondaries {
		z, found := n.zone(t, zone)
		if !found || len(z.Masters) != 1 || z.Account != "pdns-distribute" {
			t.Fatalf("%s holds %+v", n.name, z)
		}
		address := z.Masters[0]
		refusesTransfers(t, address, zone)
		refusesTransfers(t, address, "nothing.example.")
		for _, packet := range garbage() {
			sendUDP(t, address, packet)
			sendTCP(t, address, packet)
		}
		// Connections that are opened and left alone take nobody's place.
		for range 50 {
			conn, err := net.Dial("tcp", address)
			must(t, err)
			t.Cleanup(func() { conn.Close() })
		}
		// It answers for what its PowerDNS serves (or PowerDNS would ask again and again).
		until(t, soon, func() error {
			in, err := dns.Exchange(new(dns.Msg).SetQuestion(zone, dns.TypeSOA), address)
			if err != nil {
				return err
			}
			return wants(in.Rcode == dns.RcodeSuccess && len(in.Answer) == 1, "SOA answer: %s", in)
		})
	}
	primary.patch(t, zone, soa(zone, 2))
	waitServed(t, zone, 2)
	waitSame(t, zone)
}

// refusesTransfers asks for a zone that is not on offer now.
func refusesTransfers(t testing.TB, address, zone string) {
	t.Helper()
	for _, m := range []*dns.Msg{new(dns.Msg).SetAxfr(zone), new(dns.Msg).SetIxfr(zone, 1, "ns1.example.net.", "hostmaster.example.net.")} {
		for _, network := range []string{"tcp", "udp"} {
			client := dns.Client{Net: network, Timeout: 5 * time.Second}
			// A zone stays on offer until its worker has seen it served, a moment after we have.
			until(t, soon, func() error {
				in, _, err := client.Exchange(m, address)
				if err != nil {
					return err
				}
				refused := in.Rcode == dns.RcodeRefused || in.Rcode == dns.RcodeNotImplemented
				return wants(refused && len(in.Answer) == 0, "%s of %s by %s at %s: %s", dns.TypeToString[m.Question[0].Qtype], zone, network, address, in)
			})
		}
	}
}

// garbage is what no DNS client sends: noise, cut-off and overlong messages, answers, pointer loops, many questions.
func garbage() [][]byte {
	random := rand.NewChaCha8([32]byte{})
	packets := [][]byte{{}, {0}, bytes.Repeat([]byte{0xff}, 12), make([]byte, 12), make([]byte, 60_000)}
	for _, size := range []int{5, 12, 17, 40, 512, 4096} {
		noise := make([]byte, size)
		random.Read(noise) // never fails
		packets = append(packets, noise)
	}
	question, err := new(dns.Msg).SetAxfr("offered.example.").Pack()
	if err != nil {
		panic(err)
	}
	loop := append(make([]byte, 0, 20), question[:12]...)
	loop = append(loop, 0xc0, 12, 0, 252, 0, 1)
	many := append([]byte{}, question...)
	many[4], many[5] = 0xff, 0xff
	answer := append([]byte{}, question...)
	answer[2] |= 0x80
	return append(packets, question[:len(question)-1], loop, many, answer, append(question, 1, 2, 3))
}

func sendUDP(t testing.TB, address string, packet []byte) {
	t.Helper()
	conn, err := net.Dial("udp", address)
	must(t, err)
	_, err = conn.Write(packet)
	must(t, err)
	must(t, conn.Close())
}

// sendTCP sends the packet once with its length in front and once without. The server may close before all is sent.
func sendTCP(t testing.TB, address string, packet []byte) {
	t.Helper()
	framed := append([]byte{byte(len(packet) >> 8), byte(len(packet))}, packet...)
	for _, data := range [][]byte{framed, packet} {
		conn, err := net.Dial("tcp", address)
		must(t, err)
		_, _ = conn.Write(data)
		must(t, conn.Close())
	}
}
