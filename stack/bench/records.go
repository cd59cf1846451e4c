package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
)

// records measures big zones: from their creation until they are served, and then changes of one record.
func (b *bench) records(ctx context.Context) error {
	for _, size := range b.Records {
		if err := b.big(ctx, size, false); err != nil {
			return err
		}
	}
	for _, size := range b.Signed {
		if err := b.big(ctx, size, true); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) big(ctx context.Context, size int, signed bool) error {
	label, what := fmt.Sprintf("records%d", size), fmt.Sprintf("%d records", size)
	if signed {
		label, what = label+"signed", what+", signed"
	}
	if err := b.firstSync(ctx, label, what, size, signed); err != nil {
		return err
	}
	if err := b.bigChanges(ctx, label, "one change in "+what, size); err != nil {
		return err
	}
	if !signed { // signed zones need to be rectified
		for _, w := range b.all {
			settings := map[string]any{"api_rectify": false}
			if err := b.call(ctx, w.primary, http.MethodPut, "/zones/"+w.zone(label), settings); err != nil {
				return err
			}
		}
		if err := b.bigChanges(ctx, label, "one change in "+what+" with api_rectify off", size); err != nil {
			return err
		}
	}
	return b.remove(ctx, label)
}

func (b *bench) firstSync(ctx context.Context, label, what string, size int, signed bool) error {
	fromRequest, fromAnswer := samples{}, samples{}
	for _, w := range b.all {
		sets := addresses(w.zone(label), size)
		began := time.Now()
		if err := b.create(ctx, w, w.zone(label), signed, sets...); err != nil {
			return err
		}
		answered := time.Now()
		if err := b.distribute(ctx, w, w.zone(label)); err != nil {
			return err
		}
		fromRequest.add(w, milliseconds(time.Since(began)))
		fromAnswer.add(w, milliseconds(time.Since(answered)))
	}
	b.add(fromRequest.row("first sync of "+what, "ms"))
	b.add(fromAnswer.row("first sync of "+what+", since the 2xx", "ms"))
	return nil
}

// addresses are n A records, ten a name: with one a name PowerDNS's API takes ten times as long.
func addresses(zone string, n int) []client.RRset {
	const perName = 10
	sets := make([]client.RRset, 0, n/perName)
	for i := range n / perName {
		contents := make([]string, 0, perName)
		for j := range perName {
			contents = append(contents, fmt.Sprintf("10.%d.%d.%d", i>>16<<4|j, i>>8&255, i&255))
		}
		sets = append(sets, client.Set(fmt.Sprintf("h%06d.%s", i, zone), "A", contents...))
	}
	return sets
}

// bigChanges measures changes in turns, after one that is not counted: fewer of a bigger zone.
func (b *bench) bigChanges(ctx context.Context, label, what string, size int) error {
	n := max(3, min(b.Changes, 20, 1_000_000/size))
	native := min(b.Native, max(1, n/4))
	fromRequest, fromAnswer := samples{}, samples{}
	for i, ways := range append([][]*way{b.all}, b.rounds(n, native)...) {
		for _, w := range ways {
			t, err := b.change(ctx, w, w.zone(label), int(time.Now().UnixMicro()))
			if err != nil {
				return err
			}
			if i == 0 {
				continue
			}
			fromRequest.add(w, milliseconds(t.fromRequest))
			fromAnswer.add(w, milliseconds(t.fromAnswer))
		}
	}
	b.add(fromRequest.row(what, "ms"))
	b.add(fromAnswer.row(what+", since the 2xx", "ms"))
	return nil
}

// remove deletes the zone of that label in every way.
func (b *bench) remove(ctx context.Context, label string) error {
	for _, w := range b.all {
		zone := w.zone(label)
		if err := b.call(ctx, w.primary, http.MethodDelete, "/zones/"+zone, nil); err != nil {
			return err
		}
		if err := w.drop(ctx, zone, b.secondaries); err != nil {
			return err
		}
		if _, err := b.await(ctx, lacks(zone)); err != nil {
			return err
		}
	}
	return nil
}
