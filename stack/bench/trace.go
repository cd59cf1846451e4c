package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

const (
	// tracedCheck is how soon after a change the check from outside comes: each change finds its zone's last workflow ended
	// and starts one, so that all of its hops are in its own trace.
	tracedCheck = time.Second
	// tracedPace is the time between changes: more of them would go in batches, which start no workflow of a zone's own.
	tracedPace = 2 * pace
)

// trace measures the hops of single changes, at leisure, by the product's own spans. Only meanwhile does it send any.
func (b *bench) trace(ctx context.Context) error {
	received, err := receiveSpans(ctx)
	if err != nil {
		return err
	}
	restore, err := b.traceTo(ctx, received.url)
	var changes []seen
	if err == nil {
		changes, err = b.traced(ctx)
	}
	err = errors.Join(err, restore()) // the processes send what is left as they end
	spans, failed := received.close()
	if err := errors.Join(err, failed, writeJSON(filepath.Join(b.Dir, "spans.json"), spans)); err != nil {
		return err
	}
	joined := join(changes, spans)
	if len(joined) != len(changes) {
		return fmt.Errorf("%d of %d changes left a trace", len(joined), len(changes))
	}
	b.result.Hops = sumUp(joined)
	s := samples{}
	for _, t := range joined {
		s.add(b.all[0], t.took)
	}
	b.add(s.row(oneChange+", traced", "ms"))
	return nil
}

// traced makes the changes and returns when their workflows have ended.
func (b *bench) traced(ctx context.Context) ([]seen, error) {
	product := b.all[0]
	var zones []string
	for _, label := range b.restful("trace", tracedPace) {
		if err := b.zones(ctx, label, []*way{product}); err != nil {
			return nil, err
		}
		zones = append(zones, product.zone(label))
	}
	if err := b.quiet(ctx); err != nil {
		return nil, err
	}
	changes, err := b.watch(ctx, product, zones)
	if err != nil {
		return nil, err
	}
	return changes, b.quiet(ctx)
}

// watch makes changes, tracedPace apart, in these zones in turns, and notes when each secondary answers with them.
func (b *bench) watch(ctx context.Context, w *way, zones []string) ([]seen, error) {
	tick := time.NewTicker(tracedPace)
	defer tick.Stop()
	var changes []seen
	for i := range b.Changes {
		<-tick.C
		zone := zones[i%len(zones)]
		change := seen{began: time.Now(), by: map[string]time.Time{}}
		if _, err := b.patch(ctx, w, zone, i+1); err != nil {
			return nil, err
		}
		var mu sync.Mutex
		err := each(b.secondaries, func(n *client.Nameserver) error {
			at, err := b.awaitAll(ctx, []*client.Nameserver{n}, 1, func(int) question { return marked(zone, i+1) })
			mu.Lock()
			defer mu.Unlock()
			change.by[strings.TrimPrefix(n.Name, "pdns-")] = at
			return err
		})
		if err != nil {
			return nil, err
		}
		change.served = time.Now()
		changes = append(changes, change)
	}
	return changes, nil
}

// traceTo starts the product again with spans sent there; restore ends that.
func (b *bench) traceTo(ctx context.Context, url string) (restore func() error, err error) {
	section := fmt.Sprintf("\n[tracing]\notlp_url = %q\n\n[sync]\nevent_check_wait = %q\n", url, tracedCheck)
	all := []string{system.RoleSecondary1, system.RoleSecondary2, system.RolePrimary}
	change := func(edit func(string) string) error {
		for _, name := range all {
			if err := b.sys.Reconfigure(ctx, name, edit); err != nil {
				return err
			}
		}
		return nil
	}
	restore = func() error {
		return change(func(settings string) string { return strings.Replace(settings, section, "", 1) })
	}
	return restore, change(func(settings string) string { return settings + section })
}
