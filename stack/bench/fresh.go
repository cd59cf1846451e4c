package bench

import (
	"context"
	"fmt"
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
		s, err := b.freshOne(ctx, i)
		if err != nil {
			return err
		}
		b.add(s.row(fmt.Sprintf("fresh secondary with %d zones, %s", b.imported[productName].zones, backend), "zones/s"))
	}
	return nil
}

func (b *bench) freshOne(ctx context.Context, i int) (samples, error) {
	worker := fmt.Sprintf("secondary-%d", i+1)
	nameserver := "pdns-" + worker
	for _, process := range []string{worker, nameserver} {
		if err := b.sys.Stop(ctx, process); err != nil {
			return nil, err
		}
		data := filepath.Join(b.sys.Dir(), "data", process)
		if err := os.RemoveAll(data); err != nil {
			return nil, err
		}
		if err := os.Mkdir(data, 0o700); err != nil {
			return nil, err
		}
	}
	if err := b.sys.Start(ctx, nameserver); err != nil {
		return nil, err
	}
	s, only := samples{}, []*client.Nameserver{b.secondaries[i]}
	for _, w := range b.all {
		made := b.imported[w.name]
		zone := func(i int) string { return made.zone(w, i) }
		began := time.Now()
		if w.name == productName {
			if err := b.sys.Start(ctx, worker); err != nil {
				return nil, err
			}
		}
		served, err := b.spread(ctx, w, made.zones, zone, only)
		if err != nil {
			return nil, err
		}
		s.add(w, float64(made.zones)/served.Sub(began).Seconds())
	}
	return s, nil
}
