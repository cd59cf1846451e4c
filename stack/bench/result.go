package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Result is what a run writes as JSON.
type Result struct {
	Began    time.Time         `json:"began"`
	Took     float64           `json:"took_seconds"`
	Machine  Machine           `json:"machine"`
	Versions map[string]string `json:"versions"`
	// Repeated counts requests that PowerDNS answered with 500 and that were sent again.
	Repeated int64    `json:"repeated_requests"`
	Rows     []Row    `json:"rows"`
	Costs    []Cost   `json:"costs,omitempty"`
	Peaks    []Peak   `json:"peaks"`
	Memory   []Memory `json:"memory,omitempty"`
	Octets   []Octets `json:"octets,omitempty"`
	Hops     []Hop    `json:"hops,omitempty"`
}

// publish prints the result, beside the last committed figures, and writes it.
func (b *bench) publish() error {
	before, err := committed(b.Baselines)
	if err != nil {
		return err
	}
	if err := b.result.write(filepath.Join(b.Dir, "result.json")); err != nil {
		return err
	}
	if err := b.result.print(b.Out); err != nil {
		return err
	}
	if len(before) > 0 {
		fmt.Fprintf(b.Out, "\nRatios, compared with the newest of each in %s\n", b.Baselines)
		if err := printChanges(b.Out, compare(before, b.result.Rows)); err != nil {
			return err
		}
	}
	if !b.Record {
		return nil
	}
	return b.result.write(filepath.Join(b.Baselines, b.result.Began.Format("2006-01-02T1504")+".json"))
}

func (r *Result) write(path string) error { return writeJSON(path, r) }

func writeJSON(path string, what any) error {
	data, err := json.MarshalIndent(what, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(data, '\n'), 0o644)
}

// committed gathers the newest row of each kind from all results in dir, whose names begin with their times: not every run
// has every scenario, and the newest may be one far away.
func committed(dir string) ([]Row, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths)
	var rows []Row
	for _, path := range slices.Backward(paths) {
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		var r Result
		if err := json.Unmarshal(data, &r); err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		for _, row := range r.Rows {
			if !slices.ContainsFunc(rows, row.sameKind) {
				row.file = filepath.Base(path)
				rows = append(rows, row)
			}
		}
	}
	return rows, nil
}

func (r Row) sameKind(other Row) bool { return r.What == other.What && r.Unit == other.Unit }

// Change is how a ratio moved between two runs.
type Change struct {
	What     string
	To       string  // the way that the product is compared with
	Was, Now float64 // the ratios
	Worse    float64 // above 1: so many times as bad; below: better
	In       string  // the committed result that had it
}

// compare returns the ratios that both have, in the order of the later ones.
func compare(before, now []Row) []Change {
	var changes []Change
	for _, row := range now {
		i := slices.IndexFunc(before, row.sameKind)
		if i < 0 {
			continue
		}
		old := before[i]
		for _, c := range []Change{
			{What: row.What, To: floorName, Was: old.toFloor(), Now: row.toFloor(), In: old.file},
			{What: row.What, To: nativeName, Was: old.toNative(), Now: row.toNative(), In: old.file},
		} {
			if c.Was == 0 || c.Now == 0 {
				continue
			}
			c.Worse = c.Now / c.Was
			if row.rate() {
				c.Worse = c.Was / c.Now
			}
			changes = append(changes, c)
		}
	}
	return changes
}
