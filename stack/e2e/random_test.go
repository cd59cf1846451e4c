package e2e

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// A few hundred changes of every kind to a few zones, none waited for: made, changed under higher, equal and lower
// serials, signed, unsigned, deleted, made again at once. In the end the secondaries hold exactly what the primary holds.
func TestRandomChanges(t *testing.T) {
	parallel(t)
	const zones, changes = 8, 240
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	names := make([]string, zones)
	for i := range names {
		names[i] = fmt.Sprintf("r%d.random.example.", i)
	}
	refused := 0
	for i := range changes {
		if !changeAtRandom(t, random, names[random.IntN(zones)], i) {
			refused++
		}
	}
	for range 2 { // the second time once the first has waited for all: nothing comes back
		for _, name := range names {
			until(t, soon, func() error { return sameState(t.Context(), name) })
		}
	}
	t.Logf("%d changes, %d of them refused (no such zone, or there is one)", changes, refused)
}

// changeAtRandom makes one change and says whether PowerDNS took it.
func changeAtRandom(t testing.TB, random *rand.Rand, name string, i int) bool {
	t.Helper()
	text := set("text."+name, "TXT", fmt.Sprintf(`"change %d"`, i))
	one := set(fmt.Sprintf("n%d.%s", random.IntN(5), name), "A", fmt.Sprintf("192.0.2.%d", i%250+1))
	path := "/zones/" + zoneID(name)
	method, body := http.MethodPatch, any(patchOf(text, one)) // at an equal serial
	switch random.IntN(8) {
	case 0, 1:
		method, path, body = http.MethodPost, "/zones", newZone(name, random.Uint32(), text, one)
	case 2:
		method, body = http.MethodDelete, nil
	case 3:
		method, body = http.MethodPut, map[string]any{"dnssec": true, "nsec3param": []string{"", "1 0 0 -"}[random.IntN(2)]}
	case 4:
		method, body = http.MethodPut, map[string]any{"dnssec": false}
	case 5, 6:
		body = patchOf(soa(name, random.Uint32()), text)
	}
	r, err := primary.do(t.Context(), method, path, body)
	must(t, err)
	return r.status/100 == 2
}

// sameState returns nil when both secondaries hold the zone as the primary does, or neither has it.
func sameState(ctx context.Context, name string) error {
	r, err := direct.do(ctx, http.MethodGet, "/zones/"+zoneID(name)+"?rrsets=false", nil)
	if err != nil {
		return err
	}
	if r.status != http.StatusNotFound {
		return sameContent(name)
	}
	var faults []error
	for _, n := range secondaries {
		held, err := n.do(ctx, http.MethodGet, "/zones/"+zoneID(name)+"?rrsets=false", nil)
		faults = append(faults, err, wants(held.status == http.StatusNotFound, "%s holds %s, which the primary has not: %s", n.name, name, held))
	}
	return errors.Join(append(faults, notServed(ctx, name, secondaries...))...)
}

// The root is a zone like any other. Not parallel: with it, nothing is refused any more.
func TestRootZone(t *testing.T) {
	alone(t)
	const root = "."
	primary.create(t, root, 1, set("www.", "A", "192.0.2.1"))
	waitServed(t, root, 1)
	waitSame(t, root)
	primary.patch(t, root, soa(root, 2), set("www.", "A", "192.0.2.2"))
	waitServed(t, root, 2)
	waitSame(t, root)
	primary.delete(t, root)
	waitGone(t, root)
}
