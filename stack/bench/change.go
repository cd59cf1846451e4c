package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/client"
)

const (
	// pace is the least time between two changes that are made at leisure: more than the least interval of exports.
	pace = 100 * time.Millisecond
	// inARow is how many changes one way makes before it is the next one's turn.
	inARow = 10
	// rest is longer than a secondary believes what it knows of a zone, 5 s.
	rest = 6 * time.Second
	// warmUp changes are not counted.
	warmUp = 5
)

// The names of the rows, at whatever distance.
const (
	oneChange = "one change"
	oneInARow = "one change, in a row"
	oneAtRest = "one change, of a zone at rest"
)

// changes measures single changes of a small zone.
func (b *bench) changes(ctx context.Context) error {
	leisure, err := b.leisurely(ctx, []string{"leisure"}, b.Changes, b.Native)
	if err != nil {
		return err
	}
	b.add(leisure.row(oneChange, "ms"))
	rested, err := b.leisurely(ctx, b.restful("rest", pace*time.Duration(len(b.taking(0)))), b.Changes, 0)
	if err != nil {
		return err
	}
	b.add(rested.row(oneAtRest, "ms"))
	row, err := b.row(ctx, "row", b.Changes, b.Native)
	if err != nil {
		return err
	}
	b.add(row.row(oneInARow, "ms"))
	return nil
}

// zones makes a small zone of that label in every way, has it distributed, and changes it a few times.
func (b *bench) zones(ctx context.Context, label string, ways []*way) error {
	for _, w := range ways {
		zone := w.zone(label)
		if err := b.create(ctx, w, zone, false, client.Set("mail."+zone, "A", "192.0.2.1")); err != nil {
			return err
		}
		if err := b.distribute(ctx, w, zone); err != nil {
			return err
		}
		warm := warmUp
		if w.name == nativeName {
			warm = 1
		}
		for i := range warm {
			if _, err := b.change(ctx, w, zone, -1-i); err != nil {
				return err
			}
		}
	}
	return nil
}

// rounds are the ways that take part in each of n rounds: native replication only in some, evenly spread.
func (b *bench) rounds(n, native int) [][]*way {
	all := make([][]*way, n)
	for i := range all {
		for _, w := range b.all {
			if w.name != nativeName || (i+1)*native/n > i*native/n {
				all[i] = append(all[i], w)
			}
		}
	}
	return all
}

// restful are labels of so many zones that each is at rest when one after the other is changed, so far apart.
func (b *bench) restful(label string, apart time.Duration) []string {
	labels := make([]string, min(b.Changes, int(rest/apart)))
	for i := range labels {
		labels[i] = fmt.Sprintf("%s%d", label, i)
	}
	return labels
}

// leisurely makes n changes in each way, in turns, pace apart, of the zones with these labels one after the other, and
// returns the times since their requests.
func (b *bench) leisurely(ctx context.Context, labels []string, n, native int) (samples, error) {
	for _, label := range labels {
		if err := b.zones(ctx, label, b.taking(native)); err != nil {
			return nil, err
		}
	}
	tick := time.NewTicker(pace)
	defer tick.Stop()
	s := samples{}
	for i, ways := range b.rounds(n, native) {
		for _, w := range ways {
			<-tick.C
			t, err := b.change(ctx, w, w.zone(labels[i%len(labels)]), i+1)
			if err != nil {
				return nil, err
			}
			s.add(w, milliseconds(t.fromRequest))
		}
	}
	return s, nil
}

// row makes n changes in each way, the next as soon as the last is served, inARow of one way and then of the other.
func (b *bench) row(ctx context.Context, label string, n, native int) (samples, error) {
	if err := b.zones(ctx, label, b.taking(native)); err != nil {
		return nil, err
	}
	s := samples{}
	for first := 0; first < n; first += inARow {
		for _, w := range b.all {
			last := min(first+inARow, n)
			if w.name == nativeName {
				last = min(last, first+(native*inARow+n-1)/n)
			}
			for i := first; i < last; i++ {
				t, err := b.change(ctx, w, w.zone(label), i+1)
				if err != nil {
					return nil, err
				}
				s.add(w, milliseconds(t.fromRequest))
			}
		}
	}
	return s, nil
}

// taking are the ways that take part when native replication takes part so often.
func (b *bench) taking(native int) []*way {
	var ways []*way
	for _, w := range b.all {
		if w.name != nativeName || native > 0 {
			ways = append(ways, w)
		}
	}
	return ways
}

// burst measures changes to one zone that nobody waits for.
func (b *bench) burst(ctx context.Context) error {
	const rounds = 5
	rows, err := b.bursts(ctx, "burst", rounds, min(1, b.Native))
	if err != nil {
		return err
	}
	b.add(rows...)
	return nil
}

// bursts measures when a burst's last change is served, since its answer, and how many exports a change the product makes.
func (b *bench) bursts(ctx context.Context, label string, rounds, native int) ([]Row, error) {
	if err := b.zones(ctx, label, b.taking(native)); err != nil {
		return nil, err
	}
	last, exports := samples{}, samples{}
	for round, ways := range b.rounds(rounds, native) {
		for _, w := range ways {
			before, err := b.exports(ctx)
			if err != nil {
				return nil, err
			}
			since, err := b.burstOf(ctx, w, w.zone(label), round*b.Burst)
			if err != nil {
				return nil, err
			}
			last.add(w, milliseconds(since))
			after, err := b.exports(ctx)
			if err != nil {
				return nil, err
			}
			if w.name == productName {
				exports.add(w, (after-before)/float64(b.Burst))
			}
		}
	}
	return []Row{
		last.row(fmt.Sprintf("last of a burst of %d, since its 2xx", b.Burst), "ms"),
		exports.row(fmt.Sprintf("exports a change, in a burst of %d", b.Burst), "exports"),
	}, nil
}

// burstOf sends the changes after first and returns how long after its answer the last one was served.
func (b *bench) burstOf(ctx context.Context, w *way, zone string, first int) (time.Duration, error) {
	var answered time.Time
	last := first + b.Burst
	for i := first; i < last; i++ {
		var err error
		if answered, err = b.patch(ctx, w, zone, i+1); err != nil {
			return 0, err
		}
	}
	if err := w.push(ctx, zone, b.secondaries); err != nil {
		return 0, err
	}
	served, err := b.served(ctx, w, zone, marked(zone, last))
	return served.Sub(answered), err
}
