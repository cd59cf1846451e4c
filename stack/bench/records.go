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
	for _, signed := range []bool{false, true} {
		sizes := b.Records
		if signed {
			sizes = b.Signed
		}
		for _, size := range sizes {
			if size == 0 {
				continue
			}
			if err := b.big(ctx, size, signed); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *bench) big(ctx context.Context, size int, signed bool) error {
	label, what := fmt.Sprintf("records%d", size), fmt.Sprintf("%d records", size)
	if signed {
		label, what = label+"signed", what+", signed"
	}
	ways := b.taking(b.Native)
	if err := b.grow(ctx, ways[len(ways)-1], size, signed); err != nil {
		return err
	}
	rows, err := b.firstSync(ctx, label, what, size, signed, ways)
	if err != nil {
		return err
	}
	b.add(rows...)
	if rows, err = b.bigChanges(ctx, label, "one change in "+what, size, b.Native); err != nil {
		return err
	}
	b.add(rows...)
	if !signed { // signed zones need to be rectified
		if err := b.withoutRectify(ctx, label, ways); err != nil {
			return err
		}
		if rows, err = b.bigChanges(ctx, label, "one change in "+what+" with api_rectify off", size, b.Native); err != nil {
			return err
		}
		b.add(rows...)
	}
	return b.remove(ctx, label, ways)
}

// grow has the primary hold a zone of that size once, in a way past the product. The first one has the database grow, which
// takes as long as the zone itself (SQLite), whichever way is the first.
func (b *bench) grow(ctx context.Context, floor *way, size int, signed bool) error {
	zone := floor.zone(fmt.Sprintf("grows%d", size))
	if err := b.create(ctx, floor, zone, signed, addresses(zone, size)...); err != nil {
		return err
	}
	return b.call(ctx, floor.primary, http.MethodDelete, "/zones/"+zone, nil)
}

// withoutRectify spares the primary the work of going through the whole zone at each change.
func (b *bench) withoutRectify(ctx context.Context, label string, ways []*way) error {
	for _, w := range ways {
		if err := b.call(ctx, w.primary, http.MethodPut, "/zones/"+w.zone(label), map[string]any{"api_rectify": false}); err != nil {
			return err
		}
	}
	return nil
}

// fromBoth are the rows of what was measured from the request and from the primary's answer.
func fromBoth(what string, fromRequest, fromAnswer samples) []Row {
	return []Row{fromRequest.row(what, "ms"), fromAnswer.row(what+", since the 2xx", "ms")}
}

func (b *bench) firstSync(ctx context.Context, label, what string, size int, signed bool, ways []*way) ([]Row, error) {
	fromRequest, fromAnswer := samples{}, samples{}
	for _, w := range ways {
		sets := addresses(w.zone(label), size)
		began := time.Now()
		if err := b.create(ctx, w, w.zone(label), signed, sets...); err != nil {
			return nil, err
		}
		answered := time.Now()
		if err := b.distribute(ctx, w, w.zone(label)); err != nil {
			return nil, err
		}
		fromRequest.add(w, milliseconds(time.Since(began)))
		fromAnswer.add(w, milliseconds(time.Since(answered)))
	}
	return fromBoth("first sync of "+what, fromRequest, fromAnswer), nil
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
func (b *bench) bigChanges(ctx context.Context, label, what string, size, native int) ([]Row, error) {
	n := max(3, min(b.Changes, 20, 500_000/size))
	native = min(native, max(1, n/4))
	fromRequest, fromAnswer := samples{}, samples{}
	for i, ways := range append([][]*way{b.taking(native)}, b.rounds(n, native)...) {
		for _, w := range ways {
			t, err := b.change(ctx, w, w.zone(label), int(time.Now().UnixMicro()))
			if err != nil {
				return nil, err
			}
			if i > 0 {
				fromRequest.add(w, milliseconds(t.fromRequest))
				fromAnswer.add(w, milliseconds(t.fromAnswer))
			}
		}
	}
	return fromBoth(what, fromRequest, fromAnswer), nil
}

// remove deletes the zone of that label in these ways.
func (b *bench) remove(ctx context.Context, label string, ways []*way) error {
	for _, w := range ways {
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
