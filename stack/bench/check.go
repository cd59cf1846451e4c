package bench

import (
	"context"
	"fmt"
	"os/exec"
	"time"
)

// check measures the health check of all zones of the last import.
func (b *bench) check(ctx context.Context) error {
	if err := b.haveZones(ctx, b.all[:1]); err != nil {
		return err
	}
	row, err := b.healthCheck(ctx)
	if err != nil {
		return err
	}
	b.add(row)
	return nil
}

// healthCheck measures the health check as an operator starts it. Nothing is wrong, so it repairs nothing.
func (b *bench) healthCheck(ctx context.Context) (Row, error) {
	const times = 3
	if err := b.quiet(ctx); err != nil {
		return Row{}, err
	}
	s := samples{}
	for range times {
		began := time.Now()
		out, err := exec.CommandContext(ctx, b.env["PDNS_DISTRIBUTE_BIN"], "check", "--config", b.env["PDNS_DISTRIBUTE_CONFIG"]).CombinedOutput()
		if err != nil {
			return Row{}, fmt.Errorf("%w: %s", err, out)
		}
		s.add(b.all[0], milliseconds(time.Since(began)))
	}
	return s.row(fmt.Sprintf("health check of %d zones", b.imported[productName].zones), "ms"), nil
}
