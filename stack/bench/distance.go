package bench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/delay"
	"github.com/pdns-distribute/pdns-distribute/stack/system"
)

// detour is the way between one secondary and one server.
type detour struct {
	secondary, server string
	*delay.Link
}

// distance measures changes, and the health check of what was imported, with the secondaries away from NATS, Consul and
// Temporal. The floor is measured beside it, on this machine: its connections are not delayed.
func (b *bench) distance(ctx context.Context) error {
	if err := b.moveAway(ctx); err != nil {
		return err
	}
	if _, err := b.firstSync(ctx, bigAway, "", b.sizeAway(), false, b.taking(0)); err != nil {
		return err
	}
	for _, trip := range b.RoundTrips {
		b.delay(trip)
		if err := b.changesAt(ctx, trip); err != nil {
			return err
		}
	}
	return nil
}

// bigAway is the label of the big zone that is changed at each distance.
const bigAway = "away"

// sizeAway is that of the smallest of the big zones.
func (b *bench) sizeAway() int {
	if len(b.Records) == 0 {
		return 10
	}
	return max(10, slices.Min(b.Records))
}

func (b *bench) changesAt(ctx context.Context, trip time.Duration) error {
	label := fmt.Sprintf("at%d", trip.Milliseconds())
	n := min(b.Changes, 20)
	leisure, err := b.leisurely(ctx, []string{"leisure" + label}, n, 0)
	if err != nil {
		return err
	}
	row, err := b.row(ctx, "row"+label, n, 0)
	if err != nil {
		return err
	}
	burst, err := b.bursts(ctx, "burst"+label, 3, 0)
	if err != nil {
		return err
	}
	big, err := b.bigChanges(ctx, bigAway, fmt.Sprintf("one change in %d records", b.sizeAway()), b.sizeAway(), 0)
	if err != nil {
		return err
	}
	rows := slices.Concat([]Row{leisure.row(oneChange, "ms"), row.row(oneInARow, "ms")}, burst, big)
	if b.imported[productName].zones > 0 {
		check, err := b.healthCheck(ctx)
		if err != nil {
			return err
		}
		rows = append(rows, check)
	}
	for _, r := range rows {
		b.add(r.at(trip))
	}
	return nil
}

// moveAway starts the secondaries' workers again, the first time, with all their connections over detours that do not
// delay yet.
func (b *bench) moveAway(ctx context.Context) error {
	if b.detours != nil {
		return nil
	}
	servers := []struct{ name, address string }{
		{"nats", strings.TrimPrefix(b.env["NATS_URL"], "tls://")},
		{"consul", strings.TrimPrefix(b.env["CONSUL_HTTP_ADDR"], "https://")},
		{"temporal", b.env["TEMPORAL_ADDRESS"]},
	}
	for _, name := range []string{system.RoleSecondary1, system.RoleSecondary2} {
		var addresses []string
		for _, server := range servers {
			link, err := delay.Listen(ctx, server.address)
			if err != nil {
				return err
			}
			b.detours = append(b.detours, detour{name, server.name, link})
			addresses = append(addresses, server.address+`"`, link.Address()+`"`)
		}
		if err := b.sys.Reconfigure(ctx, name, strings.NewReplacer(addresses...).Replace); err != nil {
			return err
		}
	}
	return nil
}

// delay has all detours take that long, there and back.
func (b *bench) delay(trip time.Duration) {
	for _, d := range b.detours {
		d.SetRoundTrip(trip)
	}
}
