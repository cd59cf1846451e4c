package activities

import (
	"context"
	"time"
)

const (
	// fewDiffer is up to how many differences are taken for what they are at once: to
	// sync so many zones twice costs next to nothing.
	fewDiffer = 20
	// settleEvery and settleWithin are how often, and for how long, more of them are
	// looked at again. A look that takes long comes less often: settleShare is the
	// most that looks take of the time.
	settleEvery  = 2 * time.Second
	settleWithin = 2 * time.Minute
	settleShare  = 10
)

// settle returns those of many zones that go on differing. In an import, most of what
// a check finds to differ is on its way: to sync it beside the import takes time from
// both. So it is looked again as long as that makes fewer of them differ. look returns
// those of the zones that differ still; where it fails, what was known before stands.
func settle(ctx context.Context, differ []string, look func(differ []string) ([]string, error)) ([]string, error) {
	pause := settleEvery
	for until := time.Now().Add(settleWithin); len(differ) > fewDiffer && time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		began := time.Now()
		left, err := look(differ)
		if err != nil || len(left) == len(differ) {
			return differ, ctx.Err()
		}
		differ, pause = left, max(settleEvery, (settleShare-1)*time.Since(began))
	}
	return differ, nil
}
