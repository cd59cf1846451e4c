package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// scan measures how long what was changed at the primary past the product, by pdnsutil or another tool, takes to be found
// among all zones of the last import: a zone that comes, one that changes, one that goes.
func (b *bench) scan(ctx context.Context) error {
	const times = 2
	product := b.all[0]
	if err := b.haveZones(ctx, b.all[:1]); err != nil {
		return err
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	past := *product
	past.primary = b.direct
	s := samples{}
	for i := range times {
		zone := product.zone(fmt.Sprintf("past%d", i))
		for _, step := range []struct {
			do   func() error
			then question
		}{
			{func() error { return b.create(ctx, &past, zone, false) }, holds(zone)},
			{func() error { _, err := b.patch(ctx, &past, zone, 1); return err }, marked(zone, 1)},
			{func() error { return b.call(ctx, b.direct, http.MethodDelete, "/zones/"+zone, nil) }, lacks(zone)},
		} {
			began := time.Now()
			if err := step.do(); err != nil {
				return err
			}
			served, err := b.served(ctx, product, zone, step.then)
			if err != nil {
				return err
			}
			s.add(product, served.Sub(began).Seconds())
		}
	}
	b.add(s.row(fmt.Sprintf("a change past the product, among %d zones", b.imported[productName].zones), "s"))
	return nil
}
