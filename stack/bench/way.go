package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
)

// The names of the three ways that zones take to the secondaries.
const (
	productName = "product"
	nativeName  = "native"
	floorName   = "floor"
)

// way is one way from the primary to the secondaries. Its zones are its own: their names end in suffix.
type way struct {
	name    string
	suffix  string
	primary *client.Nameserver
	kind    string
	// add makes a zone that the primary holds known to these secondaries, push has them fetch it, drop removes it there.
	// All three return before it is done, and do nothing where that is the product's work.
	add, push, drop func(ctx context.Context, zone string, to []*client.Nameserver) error
}

func (w *way) zone(label string) string { return label + "." + w.suffix }

// suffixOf is the suffix of a way's zones. The product is configured to leave those of the others alone.
func suffixOf(name string) string { return name + ".bench." }

// ways are the product, through the api-proxy; PowerDNS's own NOTIFY and AXFR; and the floor, the least that PowerDNS
// needs: each secondary is told by API to fetch the zone from the primary. The last two go past the product.
func (b *bench) ways() []*way {
	nothing := func(context.Context, string, []*client.Nameserver) error { return nil }
	product := &way{name: productName, primary: b.proxy, kind: "Native", add: nothing, push: nothing, drop: nothing}
	native := &way{name: nativeName, primary: b.direct, kind: "Master", add: b.addNative, push: b.notify, drop: b.drop}
	floor := &way{name: floorName, primary: b.direct, kind: "Native", add: b.addSlave, push: b.retrieve, drop: b.drop}
	all := []*way{product, native, floor}
	for _, w := range all {
		w.suffix = suffixOf(w.name)
	}
	return all
}

// each does the same at every one of these servers at once.
func each(servers []*client.Nameserver, do func(*client.Nameserver) error) error {
	var group errgroup.Group
	for _, n := range servers {
		group.Go(func() error { return do(n) })
	}
	return group.Wait()
}

func (b *bench) addSlave(ctx context.Context, zone string, to []*client.Nameserver) error {
	body := client.Zone{Name: zone, Kind: "Slave", Masters: []string{b.direct.DNS}}
	return each(to, func(n *client.Nameserver) error { return b.call(ctx, n, http.MethodPost, "/zones", body) })
}

// addNative also names the secondaries to the primary: they are not to be found by the zone's NS records, which would lead
// to port 53.
func (b *bench) addNative(ctx context.Context, zone string, to []*client.Nameserver) error {
	var targets []string
	for _, n := range b.secondaries {
		targets = append(targets, n.DNS)
	}
	body := map[string]any{"metadata": targets}
	if err := b.call(ctx, b.direct, http.MethodPut, "/zones/"+zone+"/metadata/ALSO-NOTIFY", body); err != nil {
		return err
	}
	return b.addSlave(ctx, zone, to)
}

func (b *bench) notify(ctx context.Context, zone string, _ []*client.Nameserver) error {
	return b.call(ctx, b.direct, http.MethodPut, "/zones/"+zone+"/notify", nil)
}

func (b *bench) retrieve(ctx context.Context, zone string, to []*client.Nameserver) error {
	return each(to, func(n *client.Nameserver) error {
		return b.call(ctx, n, http.MethodPut, "/zones/"+zone+"/axfr-retrieve", nil)
	})
}

func (b *bench) drop(ctx context.Context, zone string, to []*client.Nameserver) error {
	return each(to, func(n *client.Nameserver) error { return b.call(ctx, n, http.MethodDelete, "/zones/"+zone, nil) })
}

// call repeats a request that PowerDNS answers with 500: on SQLite it does so now and then when it is busy, and clients
// have to live with it. It may be busy for seconds, where it stores a large zone.
func (b *bench) call(ctx context.Context, n *client.Nameserver, method, path string, body any) error {
	const attempts, atOnce, pause = 100, 10, 100 * time.Millisecond
	var err error
	for i := range attempts {
		if i >= atOnce {
			<-time.After(pause)
		}
		_, err = n.Call(ctx, method, path, body)
		var status *client.StatusError
		if !errors.As(err, &status) || status.Code != http.StatusInternalServerError {
			return err
		}
		b.repeated.Add(1)
	}
	return fmt.Errorf("%d times: %w", attempts, err)
}

// marker is the name whose TXT record every zone of the benchmark has, and changes change.
func marker(zone string) string { return "www." + zone }

func quoted(n int) string { return fmt.Sprintf("%q", fmt.Sprint(n)) }

// create makes a zone with these RRsets at the primary alone. With the serial raised by PowerDNS at each change, a change
// is one record, as most clients send it.
func (b *bench) create(ctx context.Context, w *way, zone string, signed bool, sets ...client.RRset) error {
	all := append([]client.RRset{
		client.Set(zone, "SOA", "ns1.example.net. hostmaster.example.net. 1 10800 3600 604800 60"),
		client.Set(zone, "NS", "ns1.example.net.", "ns2.example.net."),
		client.Set(marker(zone), "TXT", quoted(0)),
	}, sets...)
	body := client.Zone{Name: zone, Kind: w.kind, SOAEditAPI: "INCREASE", DNSSEC: signed, RRsets: all}
	return b.call(ctx, w.primary, http.MethodPost, "/zones", body)
}

// distribute makes a zone that the primary holds known to all secondaries and waits until they serve it.
func (b *bench) distribute(ctx context.Context, w *way, zone string) error {
	if err := w.add(ctx, zone, b.secondaries); err != nil {
		return err
	}
	if err := w.push(ctx, zone, b.secondaries); err != nil {
		return err
	}
	_, err := b.served(ctx, w, zone, holds(zone))
	return err
}

// took is how long a change took to be served by all secondaries.
type took struct{ fromRequest, fromAnswer time.Duration }

// change gives the zone's marker the value n and waits until all secondaries answer with it.
func (b *bench) change(ctx context.Context, w *way, zone string, n int) (took, error) {
	began := time.Now()
	answered, err := b.patch(ctx, w, zone, n)
	if err != nil {
		return took{}, err
	}
	if err := w.push(ctx, zone, b.secondaries); err != nil {
		return took{}, err
	}
	served, err := b.served(ctx, w, zone, marked(zone, n))
	return took{served.Sub(began), served.Sub(answered)}, err
}

// patch gives the zone's marker the value n and returns when that was answered.
func (b *bench) patch(ctx context.Context, w *way, zone string, n int) (time.Time, error) {
	err := b.call(ctx, w.primary, http.MethodPatch, "/zones/"+zone, client.Replace(client.Set(marker(zone), "TXT", quoted(n))))
	return time.Now(), err
}
