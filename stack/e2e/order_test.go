package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// While a zone changes again and again, with serials that rise, stay and fall, no secondary ever serves an older state
// after a newer one.
func TestNeverBack(t *testing.T) {
	parallel(t)
	const zone, changes = "forward.example.", 120
	primary.create(t, zone, 1000, numbered(zone, 0))
	waitServed(t, zone, 1000)
	ctx, stop := context.WithCancel(t.Context())
	var watchers sync.WaitGroup
	for _, n := range secondaries {
		watchers.Go(func() { watchForward(ctx, t, n, zone) })
	}
	for i := 1; i <= changes; i++ {
		sets := []rrset{numbered(zone, i)}
		switch i % 3 {
		case 1:
			sets = append(sets, soa(zone, uint32(1000+i)))
		case 2:
			sets = append(sets, soa(zone, uint32(1000-i)))
		}
		primary.patch(t, zone, sets...)
	}
	until(t, soon, func() error {
		return hasAnswer(t.Context(), "end.w."+zone, dns.TypeTXT, []string{fmt.Sprintf(`"%d"`, changes)}, secondaries...)
	})
	stop()
	watchers.Wait()
	waitSame(t, zone)
}

// numbered is the RRset that watchForward asks for, with the number i.
func numbered(zone string, i int) rrset { return set("*.w."+zone, "TXT", fmt.Sprintf(`"%d"`, i)) }

// watchForward asks for the number all the time. Each question is for another name, so no cache answers it.
func watchForward(ctx context.Context, t *testing.T, n *nameserver, zone string) {
	last := 0
	for i := 0; busyTick(ctx); i++ {
		in, err := n.ask(ctx, fmt.Sprintf("q%d.w.%s", i, zone), dns.TypeTXT, false)
		if err != nil || len(in.Answer) == 0 {
			continue // a lost packet; whether it answers at all is not asked here
		}
		txt, ok := in.Answer[0].(*dns.TXT)
		if !ok {
			t.Errorf("%s: %s", n.name, in)
			return
		}
		number, err := strconv.Atoi(strings.Join(txt.Txt, ""))
		if err != nil || number < last {
			t.Errorf("%s serves number %d after %d (%v)", n.name, number, last, err)
			return
		}
		last = number
	}
}
