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
	Octets   []Octets `json:"octets,omitempty"`
	Hops     []Hop    `json:"hops,omitempty"`
}

// publish prints the result, beside the last committed one, and writes it.
func (b *bench) publish() error {
	before, name, err := lastOf(b.Baselines)
	if err != nil {
		return err
	}
	if err := b.result.write(filepath.Join(b.Dir, "result.json")); err != nil {
		return err
	}
	if err := b.result.print(b.Out); err != nil {
		return err
	}
	if before != nil {
		fmt.Fprintf(b.Out, "\nRatios, compared with %s\n", name)
		if err := printChanges(b.Out, compare(before, b.result)); err != nil {
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

// lastOf reads the newest result in dir: their names begin with their times. nil when there is none.
func lastOf(dir string) (*Result, string, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil || len(paths) == 0 {
		return nil, "", err
	}
	path := slices.Max(paths)
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, "", err
	}
	r := new(Result)
	if err := json.Unmarshal(data, r); err != nil {
		return nil, "", fmt.Errorf("read %s: %w", path, err)
	}
	return r, path, nil
}

// Change is how a ratio moved between two runs.
type Change struct {
	What     string
	To       string  // the way that the product is compared with
	Was, Now float64 // the ratios
	Worse    float64 // above 1: so many times as bad; below: better
}

// compare returns the ratios that both results have, in the order of the later one.
func compare(before, now *Result) []Change {
	var changes []Change
	for _, row := range now.Rows {
		i := slices.IndexFunc(before.Rows, func(r Row) bool { return r.What == row.What && r.Unit == row.Unit })
		if i < 0 {
			continue
		}
		old := before.Rows[i]
		for _, c := range []Change{
			{What: row.What, To: floorName, Was: old.toFloor(), Now: row.toFloor()},
			{What: row.What, To: nativeName, Was: old.toNative(), Now: row.toNative()},
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
