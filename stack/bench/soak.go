package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/procfs"
)

// soakPace is the time between two changes.
const soakPace = time.Second

// memorySamples are taken of each process in a soak.
const memorySamples = 30

// Memory is what a process had resident in the course of a soak.
type Memory struct {
	Process string `json:"process"`
	// MiB are memorySamples, evenly spread over the soak.
	MiB []float64 `json:"mib"`
}

// soak changes one zone of the last import after the other, and measures whether the processes' memory grows with time.
func (b *bench) soak(ctx context.Context) error {
	product := b.all[0]
	if err := b.haveZones(ctx, b.all[:1]); err != nil {
		return err
	}
	if err := b.quiet(ctx); err != nil {
		return err
	}
	made, s := b.imported[productName], samples{}
	change, sample := time.NewTicker(soakPace), time.NewTicker(b.Soak/memorySamples)
	defer change.Stop()
	defer sample.Stop()
	for i, sampled := 0, 0; sampled < memorySamples; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-change.C:
			t, err := b.change(ctx, product, made.zone(product, i%made.zones), i+1)
			if err != nil {
				return err
			}
			s.add(product, milliseconds(t.fromRequest))
			i++
		case <-sample.C:
			if err := b.sampleMemory(); err != nil {
				return err
			}
			sampled++
		}
	}
	b.add(s.row(fmt.Sprintf("one change in a soak of %s, among %d zones", b.Soak, made.zones), "ms"))
	return nil
}

// sampleMemory takes what each process has resident now into the result.
func (b *bench) sampleMemory() error {
	return b.running(func(name string, p procfs.Proc) error {
		status, err := p.NewStatus()
		b.result.remember(name, round(float64(status.VmRSS)/(1<<20)))
		return err
	})
}

func (r *Result) remember(process string, mib float64) {
	for i := range r.Memory {
		if r.Memory[i].Process == process {
			r.Memory[i].MiB = append(r.Memory[i].MiB, mib)
			return
		}
	}
	r.Memory = append(r.Memory, Memory{process, []float64{mib}})
}

// thirds are the medians of the first, the second and the last third of the samples: of memory that does not grow all are
// alike.
func (m Memory) thirds() [3]float64 {
	var medians [3]float64
	for i := range medians {
		if f := summarize(m.MiB[i*len(m.MiB)/3 : (i+1)*len(m.MiB)/3]); f != nil {
			medians[i] = f.P50
		}
	}
	return medians
}
