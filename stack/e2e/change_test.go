package e2e

import (
	"testing"

	"github.com/miekg/dns"
)

// A zone's whole life: made, changed, deleted, and made again with a lower serial, as a restored backup would be.
func TestCreateChangeDeleteCreateAgain(t *testing.T) {
	parallel(t)
	const zone = "life.example."
	primary.create(t, zone, 500, set("www."+zone, "A", "192.0.2.1"))
	waitServed(t, zone, 500)
	waitSame(t, zone)

	primary.patch(t, zone, set("www."+zone, "A", "192.0.2.2"), soa(zone, 501))
	waitServed(t, zone, 501)
	until(t, soon, func() error {
		return hasAnswer(t.Context(), "www."+zone, dns.TypeA, []string{"192.0.2.2"}, secondaries...)
	})

	primary.delete(t, zone)
	waitGone(t, zone)

	primary.create(t, zone, 7, set("www."+zone, "A", "192.0.2.3"))
	waitServed(t, zone, 7)
	waitSame(t, zone)
}

// A removed child zone is answered by its parent again: the parent's SOA in the authority section is no sign of the child.
func TestDeletedChildBelowServedParent(t *testing.T) {
	parallel(t)
	const parent, child = "parent.example.", "child.parent.example."
	primary.create(t, parent, 10, set("www."+parent, "A", "192.0.2.1"))
	primary.create(t, child, 20, set("www."+child, "A", "192.0.2.2"))
	waitServed(t, parent, 10)
	waitServed(t, child, 20)

	primary.delete(t, child)
	waitGone(t, child)
	waitServed(t, parent, 10)
	waitStatus(t, child, func(s syncStatus) error { return wants(s.Outcome == "in-sync" && s.Deleted, "want the delete in sync") })
	for _, n := range secondaries {
		in, err := n.ask(t.Context(), "www."+child, dns.TypeA, false)
		must(t, err)
		if in.Rcode != dns.RcodeNameError || !in.Authoritative {
			t.Errorf("%s answers www.%s with %s after the zone was deleted", n.name, child, dns.RcodeToString[in.Rcode])
		}
	}
}
