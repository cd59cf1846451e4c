package bench

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
)

func TestSummarize(t *testing.T) {
	hundred := make([]float64, 0, 100)
	for i := range 100 {
		hundred = append(hundred, float64(100-i))
	}
	for _, test := range []struct {
		name    string
		samples []float64
		want    Figures
	}{
		{"one", []float64{7}, Figures{1, 7, 7, 7, 7}},
		{"two", []float64{9, 3}, Figures{2, 3, 9, 9, 9}},
		{"ten", []float64{10, 1, 9, 2, 8, 3, 7, 4, 6, 5}, Figures{10, 5, 9, 10, 10}},
		{"a hundred", hundred, Figures{100, 50, 90, 99, 100}},
	} {
		if got := summarize(test.samples); *got != test.want {
			t.Errorf("%s: %+v, want %+v", test.name, *got, test.want)
		}
	}
	if got := summarize(nil); got != nil {
		t.Errorf("nothing: %+v", got)
	}
}

func TestRatios(t *testing.T) {
	row := Row{Unit: "ms", Product: &Figures{P50: 15, P99: 40}, Floor: &Figures{P50: 10}, RoundTrip: 20}
	if row.toFloor() != 1.5 || row.tailToFloor() != 4 || row.trips() != 0.75 || row.toNative() != 0 {
		t.Errorf("%v × the floor, p99 %v × the floor, %v round trips, %v × native", row.toFloor(), row.tailToFloor(), row.trips(), row.toNative())
	}
	row = Row{Unit: "zones/s", Product: &Figures{P50: 70, P99: 70}, Floor: &Figures{P50: 100}}
	if row.toFloor() != 0.7 || row.tailToFloor() != 0 {
		t.Errorf("%v × the floor, p99 %v", row.toFloor(), row.tailToFloor())
	}
	if (Row{}).toFloor() != 0 || (Row{}).trips() != 0 {
		t.Error("a row without figures has ratios")
	}
}

func TestCompare(t *testing.T) {
	row := func(what, unit string, product, native, floor float64) Row {
		r := Row{What: what, Unit: unit, Product: &Figures{P50: product}, Floor: &Figures{P50: floor}}
		if native != 0 {
			r.Native = &Figures{P50: native}
		}
		return r
	}
	before := []Row{row("change", "ms", 15, 0, 10), row("import", "zones/s", 70, 35, 100), row("gone", "ms", 1, 0, 1)}
	now := []Row{row("new", "ms", 1, 0, 1), row("change", "ms", 60, 0, 20), row("import", "zones/s", 35, 35, 100)}
	want := []Change{
		{"change", "floor", 1.5, 3, 2, ""},
		{"import", "floor", 0.7, 0.35, 2, ""},
		{"import", "native", 2, 1, 2, ""},
	}
	if got := compare(before, now); !slices.Equal(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// A run is compared with the newest of each figure, whichever run had it.
func TestCommitted(t *testing.T) {
	dir := t.TempDir()
	row := func(what string, p50 float64) Row { return Row{What: what, Unit: "ms", Product: &Figures{P50: p50}} }
	for name, rows := range map[string][]Row{
		"2001-01-01T0000.json": {row("change", 1), row("records", 1)},
		"2002-01-01T0000.json": {row("change", 2)},
		"2003-01-01T0000.json": {row("change at 100 ms", 3)},
	} {
		if err := (&Result{Rows: rows}).write(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	of := func(file string, r Row) Row { r.file = file; return r }
	want := []Row{
		of("2003-01-01T0000.json", row("change at 100 ms", 3)), of("2002-01-01T0000.json", row("change", 2)),
		of("2001-01-01T0000.json", row("records", 1)),
	}
	if got, err := committed(dir); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v, want %+v", got, err, want)
	}
	if got, err := committed(t.TempDir()); err != nil || got != nil {
		t.Errorf("without results: %+v, %v", got, err)
	}
}

// Native replication takes part as often as asked for, evenly spread.
func TestRounds(t *testing.T) {
	b := &bench{}
	b.all = b.ways()
	var taking []int
	for i, ways := range b.rounds(10, 3) {
		if len(ways) < 2 || ways[0].name != productName {
			t.Errorf("round %d: %d ways", i, len(ways))
		}
		if slices.ContainsFunc(ways, func(w *way) bool { return w.name == nativeName }) {
			taking = append(taking, i)
		}
	}
	if !slices.Equal(taking, []int{3, 6, 9}) {
		t.Errorf("native replication takes part in the rounds %v", taking)
	}
}

func TestParallel(t *testing.T) {
	var sum atomic.Int64
	add := func(_ context.Context, i int) error { sum.Add(int64(i)); return nil }
	if err := parallel(t.Context(), 100, add); err != nil || sum.Load() != 4950 {
		t.Errorf("sum %d, %v", sum.Load(), err)
	}
	fault := errors.New("fault")
	var calls atomic.Int64
	err := parallel(t.Context(), 1_000_000, func(_ context.Context, i int) error {
		calls.Add(1)
		if i == 10 {
			return fault
		}
		return nil
	})
	if !errors.Is(err, fault) || calls.Load() > 900_000 {
		t.Errorf("%v after %d calls", err, calls.Load())
	}
}

func TestThirds(t *testing.T) {
	for _, test := range []struct {
		mib  []float64
		want [3]float64
	}{
		{[]float64{50, 52, 51, 60, 61, 62, 70, 90, 80}, [3]float64{51, 61, 80}},
		{[]float64{50}, [3]float64{0, 0, 50}},
		{nil, [3]float64{}},
	} {
		if got := (Memory{MiB: test.mib}).thirds(); got != test.want {
			t.Errorf("thirds of %v: %v, want %v", test.mib, got, test.want)
		}
	}
}
