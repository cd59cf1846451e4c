package bench

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
)

// clients is how many make and delete zones at once.
const clients = 4

// parallel does something n times, by so many clients, until one fails.
func parallel(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(clients)
	for i := 0; i < n && ctx.Err() == nil; i++ {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// imports measures many new zones at once, and how long a change of another zone takes meanwhile. A small import is done in
// turns, since what else a machine does for a second would count as much as all of it.
func (b *bench) imports(ctx context.Context) error {
	const often, enough = 3, 5000
	for _, size := range slices.DeleteFunc(slices.Clone(b.Zones), func(n int) bool { return n == 0 }) {
		after, all, single := samples{}, samples{}, samples{}
		for range max(1, min(often, enough/size)) {
			if err := b.importInTurn(ctx, size, after, all, single); err != nil {
				return err
			}
		}
		b.add(after.row(fmt.Sprintf("import of %d zones", size), "zones/s"))
		b.add(all.row(fmt.Sprintf("import of %d zones, all with their creation at the primary", size), "zones/s"))
		b.add(single.row(fmt.Sprintf("one change during the import of %d zones", size), "ms"))
	}
	return nil
}

// importInTurn imports that many zones in every way.
func (b *bench) importInTurn(ctx context.Context, size int, after, all, single samples) error {
	for _, w := range b.all {
		n := b.takesPartWith(w, size)
		if n == 0 {
			continue
		}
		i, err := b.importWatched(ctx, w, n, single)
		if err != nil {
			return err
		}
		all.add(w, float64(n)/i.all.Seconds())
		if w.name == productName {
			i.secondaries = i.all // there it is one
		}
		after.add(w, float64(n)/i.secondaries.Seconds())
	}
	return nil
}

// takesPartWith is how many zones a way takes in an import of that size.
func (b *bench) takesPartWith(w *way, size int) int {
	if w.name == nativeName {
		return min(size, b.NativeZones)
	}
	return size
}

// haveZones imports what these ways lack of the largest import.
func (b *bench) haveZones(ctx context.Context, ways []*way) error {
	for _, w := range ways {
		n := b.takesPartWith(w, max(1, slices.Max(b.Zones)))
		if b.imported[w.name].zones >= n {
			continue
		}
		if _, err := b.importOf(ctx, w, n); err != nil {
			return err
		}
	}
	return nil
}

// imported is how long an import took: all of it, and what of it was left when the primary held all zones.
type imported struct{ all, secondaries time.Duration }

// batch is what an import made: the number of the import, by its way, and so many zones.
type batch struct{ number, zones int }

func (i batch) zone(w *way, n int) string { return w.zone(fmt.Sprintf("z%d.import%d", n, i.number)) }

// importOf makes n zones of 10 records at the primary, then known to the secondaries, and waits until these serve all.
func (b *bench) importOf(ctx context.Context, w *way, n int) (imported, error) {
	made := batch{b.imported[w.name].number + 1, n}
	zone := func(i int) string { return made.zone(w, i) }
	began := time.Now()
	err := parallel(ctx, n, func(ctx context.Context, i int) error {
		name := zone(i)
		return b.create(ctx, w, name, false, client.Set("mail."+name, "A",
			"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6"))
	})
	if err != nil {
		return imported{}, err
	}
	held := time.Now()
	served, err := b.spread(ctx, w, n, zone, b.secondaries)
	b.imported[w.name] = made
	return imported{served.Sub(began), served.Sub(held)}, err
}

// spread makes n zones that the primary holds known to these secondaries and waits until they serve all.
func (b *bench) spread(ctx context.Context, w *way, n int, zone func(int) string, to []*client.Nameserver) (time.Time, error) {
	err := parallel(ctx, n, func(ctx context.Context, i int) error {
		if err := w.add(ctx, zone(i), to); err != nil {
			return err
		}
		return w.push(ctx, zone(i), to)
	})
	if err != nil {
		return time.Time{}, err
	}
	return b.awaitAll(ctx, to, n, func(i int) question { return holds(zone(i)) })
}

// watchPace is the time between the changes that are made during an import: seldom enough that the import, not they, is
// measured.
const watchPace = 3 * time.Second

// importWatched is importOf with changes of another zone meanwhile.
func (b *bench) importWatched(ctx context.Context, w *way, n int, single samples) (result imported, err error) {
	label := fmt.Sprintf("during%d", b.imported[w.name].number+1)
	if err := b.zones(ctx, label, []*way{w}); err != nil {
		return imported{}, err
	}
	err = b.watched(ctx, w, label, single, func() (err error) {
		result, err = b.importOf(ctx, w, n)
		return err
	})
	return result, err
}

// watched does something while another zone is changed, the next time watchPace after the last was served.
func (b *bench) watched(ctx context.Context, w *way, label string, single samples, do func() error) error {
	done, watched := make(chan struct{}), make(chan error, 1)
	go func() {
		for i := 1; ; i++ {
			t, err := b.change(ctx, w, w.zone(label), i)
			if err != nil {
				watched <- err
				return
			}
			single.add(w, milliseconds(t.fromRequest))
			select {
			case <-done:
				watched <- nil
				return
			case <-time.After(watchPace):
			}
		}
	}()
	err := do()
	close(done)
	if failed := <-watched; err == nil {
		err = failed
	}
	return err
}

// deletes measures the deletion of many zones: at the primary, until no secondary serves them. PowerDNS's own replication
// deletes nothing.
func (b *bench) deletes(ctx context.Context) error {
	s := samples{}
	n := b.Deletes
	for _, w := range b.all {
		if w.name == nativeName {
			continue
		}
		if b.imported[w.name].zones < n {
			if _, err := b.importOf(ctx, w, n); err != nil {
				return err
			}
		}
		made := b.imported[w.name]
		left := batch{made.number, made.zones - n}
		zone := func(i int) string { return made.zone(w, left.zones+i) }
		began := time.Now()
		err := parallel(ctx, n, func(ctx context.Context, i int) error {
			if err := b.call(ctx, w.primary, http.MethodDelete, "/zones/"+zone(i), nil); err != nil {
				return err
			}
			return w.drop(ctx, zone(i), b.secondaries)
		})
		if err != nil {
			return err
		}
		gone, err := b.awaitAll(ctx, b.secondaries, n, func(i int) question { return lacks(zone(i)) })
		if err != nil {
			return err
		}
		s.add(w, float64(n)/gone.Sub(began).Seconds())
		b.imported[w.name] = left
	}
	b.add(s.row(fmt.Sprintf("deletion of %d zones", n), "zones/s"))
	return nil
}
