package bench

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/prometheus/procfs"
)

// Peak is the most memory that a process had resident during a scenario.
type Peak struct {
	Scenario string  `json:"scenario"`
	Process  string  `json:"process"`
	MiB      float64 `json:"mib"`
}

// running calls do for every process of the system that runs.
func (b *bench) running(do func(name string, p procfs.Proc) error) error {
	list, err := b.sys.Processes()
	if err != nil {
		return err
	}
	for _, process := range list {
		if process.PID == 0 {
			continue
		}
		p, err := procfs.NewProc(process.PID)
		if err != nil {
			return err
		}
		if err := do(process.Name, p); err != nil {
			return err
		}
	}
	return nil
}

// forgetPeaks starts the peaks anew: the most that each process has had is what it has now (proc(5), clear_refs).
func (b *bench) forgetPeaks() error {
	return b.running(func(_ string, p procfs.Proc) error {
		return os.WriteFile(filepath.Join("/proc", strconv.Itoa(p.PID), "clear_refs"), []byte("5"), 0)
	})
}

func (b *bench) notePeaks(scenario string) error {
	return b.running(func(name string, p procfs.Proc) error {
		status, err := p.NewStatus()
		b.result.Peaks = append(b.result.Peaks, Peak{scenario, name, round(float64(status.VmHWM) / (1 << 20))})
		return err
	})
}

// cpu is the CPU time that each process has used so far.
func (b *bench) cpu() (map[string]time.Duration, error) {
	used := map[string]time.Duration{}
	return used, b.running(func(name string, p procfs.Proc) error {
		stat, err := p.Stat()
		used[name] = time.Duration(stat.CPUTime() * float64(time.Second))
		return err
	})
}
