package returns

import (
	"context"
	"time"
)

// askEvery paces the questions whether something works.
const askEvery = 5 * time.Second

// WatchOutages asks for a reconcile whenever what works again after it did not, until
// ctx ends: what was to be done here meanwhile may have been given up.
//
// works is asked every 5 s; an error means that it does not.
func (r *Returns) WatchOutages(ctx context.Context, what string, works func(context.Context) error) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for away := false; ; {
		failed := works(ctx) != nil
		if away && !failed {
			r.Notice(what + " is back")
		}
		away = failed
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
