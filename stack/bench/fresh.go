package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
)

// fresh measures how long a secondary that has lost everything takes to serve all zones of the last import again. The other
// ways are given the list of zones; the product finds out by itself, from its start on.
func (b *bench) fresh(ctx context.Context) error {
	if err := b.haveZones(ctx, b.all); err != nil {
		return err
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	for i, backend := range []string{"SQLite", "LMDB"} { // see system.backend
		s, single, err := b.freshOne(ctx, i)
		if err != nil {
			return err
		}
		b.add(s.row(fmt.Sprintf("fresh secondary with %d zones, %s", b.imported[productName].zones, backend), "zones/s"))
		b.add(single.row(fmt.Sprintf("one change while %s is filled with %d zones", backend, b.imported[productName].zones), "ms"))
	}
	return nil
}

// freshOne also measures the product's changes of another zone meanwhile, until both secondaries serve them: the fresh one
// lacks that zone too. The other ways would have to be told in which order to bring them.
func (b *bench) freshOne(ctx context.Context, i int) (filled, single samples, err error) {
	product, label := b.all[0], fmt.Sprintf("filling%d", i)
	if err := b.zones(ctx, label, []*way{product}); err != nil {
		return nil, nil, err
	}
	all, err := b.held(ctx, b.secondaries[i])
	if err != nil {
		return nil, nil, err
	}
	worker := fmt.Sprintf("secondary-%d", i+1)
	nameserver := "pdns-" + worker
	for _, process := range []string{worker, nameserver} {
		if err := b.sys.Stop(ctx, process); err != nil {
			return nil, nil, err
		}
		data := filepath.Join(b.sys.Dir(), "data", process)
		if err := os.RemoveAll(data); err != nil {
			return nil, nil, err
		}
		if err := os.Mkdir(data, 0o700); err != nil {
			return nil, nil, err
		}
	}
	if err := b.sys.Start(ctx, nameserver); err != nil {
		return nil, nil, err
	}
	filled, single = samples{}, samples{}
	only := []*client.Nameserver{b.secondaries[i]}
	for _, w := range b.all {
		made := b.imported[w.name]
		if made.zones == 0 { // native replication does not take part
			continue
		}
		zone := func(i int) string { return made.zone(w, i) }
		began := time.Now()
		var served time.Time
		fill := func() (err error) {
			served, err = b.spread(ctx, w, made.zones, zone, only)
			return err
		}
		if w != product {
			err = fill()
		} else if err = b.sys.Start(ctx, worker); err == nil {
			err = b.watched(ctx, w, label, single, fill)
		}
		if err != nil {
			return nil, nil, err
		}
		zones := made.zones
		if w == product { // which brings those of the imports before too, in the order of their names
			zones = all
		}
		filled.add(w, float64(zones)/served.Sub(began).Seconds())
	}
	return filled, single, nil
}

// held counts the zones that the product has on a secondary.
func (b *bench) held(ctx context.Context, n *client.Nameserver) (int, error) {
	answer, err := n.Call(ctx, http.MethodGet, "/zones", nil)
	if err != nil {
		return 0, err
	}
	var zones []struct{ Account string }
	if err := json.Unmarshal(answer, &zones); err != nil {
		return 0, fmt.Errorf("the zones of %s: %w", n.Name, err)
	}
	count := 0
	for _, zone := range zones {
		if zone.Account == "pdns-distribute" {
			count++
		}
	}
	return count, nil
}
