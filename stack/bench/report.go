package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// print writes the result as tables.
func (r *Result) print(out io.Writer) error {
	fmt.Fprintf(out, "\n%s, %d cores, %.0f GiB, Linux %s; PowerDNS %s, Temporal %s, NATS %s, %s; commit %s\n",
		r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.Kernel, r.Versions["powerdns"], r.Versions["temporal"],
		r.Versions["nats"], r.Versions["consul"], r.Versions["commit"])
	fmt.Fprintf(out, "%s, %.0f s; requests repeated after a 500 of PowerDNS: %d\n\n", r.Began.Format("2006-01-02 15:04 UTC"), r.Took, r.Repeated)
	for _, part := range []func(io.Writer) error{r.printRows, r.printProcesses, r.printMemory, r.printOctets, r.printHops} {
		if err := part(out); err != nil {
			return err
		}
	}
	return nil
}

func table(out io.Writer, head string) *tabwriter.Writer {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, strings.ReplaceAll(head, " | ", "\t")+"\t")
	return t
}

// line ends every cell, the last too: only then does tabwriter align it.
func line(t io.Writer, cells ...string) { fmt.Fprintln(t, strings.Join(cells, "\t")+"\t") }

func (r *Result) printRows(out io.Writer) error {
	width := 0
	for _, row := range r.Rows {
		width = max(width, len(row.What))
	}
	t := table(out, "what | unit | n | p50 | p90 | p99 | max | native | (n) | floor | p99 | (n) | × native | × floor | p99 × floor | trips")
	for _, row := range r.Rows {
		cells := []string{fmt.Sprintf("%-*s", width, row.What), row.Unit} // the one column that is not aligned to the right
		cells = append(cells, row.Product.cells("n", "p50", "p90", "p99", "max")...)
		cells = append(cells, row.Native.cells("p50", "n")...)
		cells = append(cells, row.Floor.cells("p50", "p99", "n")...)
		cells = append(cells, number(row.toNative()), number(row.toFloor()), number(row.tailToFloor()), number(row.trips()))
		line(t, cells...)
	}
	return t.Flush()
}

// cells are some of the figures, empty where there are none.
func (f *Figures) cells(names ...string) []string {
	cells := make([]string, len(names))
	if f == nil {
		return cells
	}
	texts := map[string]string{"n": strconv.Itoa(f.N), "p50": number(f.P50), "p90": number(f.P90), "p99": number(f.P99), "max": number(f.Max)}
	for i, name := range names {
		cells[i] = texts[name]
	}
	return cells
}

// number has three digits that count; nothing was measured where it is 0.
func number(v float64) string {
	if v == 0 {
		return ""
	}
	digits := max(0, 2-int(math.Floor(math.Log10(math.Abs(v)))))
	return strconv.FormatFloat(v, 'f', digits, 64)
}

// round keeps a tenth: more would only make the JSON long.
func round(v float64) float64 { return math.Round(v*10) / 10 }

// brief is a row in one line, for whoever watches.
func brief(r Row) string {
	if r.Product == nil {
		return r.What + ": nothing measured"
	}
	text := fmt.Sprintf("%s: %s %s", r.What, number(r.Product.P50), r.Unit)
	if r.Native != nil {
		text += ", native " + number(r.Native.P50)
	}
	if r.Floor != nil {
		text += fmt.Sprintf(", floor %s: %s × the floor", number(r.Floor.P50), number(r.toFloor()))
	}
	return text
}

// printProcesses has a line a process: its CPU, and the most memory it had in each scenario.
func (r *Result) printProcesses(out io.Writer) error {
	if len(r.Peaks) == 0 {
		return nil
	}
	var scenarios, processes []string
	for _, p := range r.Peaks {
		if !slices.Contains(scenarios, p.Scenario) {
			scenarios = append(scenarios, p.Scenario)
		}
		if !slices.Contains(processes, p.Process) {
			processes = append(processes, p.Process)
		}
	}
	fmt.Fprintf(out, "\nCPU, and peak memory (MiB) in each scenario\n")
	t := table(out, "process | ms a change | idle ms/s | "+strings.Join(scenarios, " | "))
	for _, process := range processes {
		cells := []string{process, "", ""}
		for _, c := range r.Costs {
			if c.Process == process {
				cells[1], cells[2] = number(c.Change), number(c.Idle)
			}
		}
		for _, scenario := range scenarios {
			cells = append(cells, r.peak(scenario, process))
		}
		line(t, cells...)
	}
	return t.Flush()
}

func (r *Result) peak(scenario, process string) string {
	for _, p := range r.Peaks {
		if p.Scenario == scenario && p.Process == process {
			return fmt.Sprintf("%.0f", p.MiB)
		}
	}
	return ""
}

func (r *Result) printMemory(out io.Writer) error {
	if len(r.Memory) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nMemory (MiB) in the course of the soak: the least, the medians of its thirds, the most\n")
	t := table(out, "process | least | first | second | last | most")
	for _, m := range r.Memory {
		cells := []string{m.Process, number(slices.Min(m.MiB))}
		for _, median := range m.thirds() {
			cells = append(cells, number(median))
		}
		line(t, append(cells, number(slices.Max(m.MiB)))...)
	}
	return t.Flush()
}

func (r *Result) printOctets(out io.Writer) error {
	if len(r.Octets) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nOctets between a secondary and a server\n")
	t := table(out, "secondary | server | sent a change | received a change | idle a second")
	for _, o := range r.Octets {
		line(t, o.Secondary, o.Server, number(o.Sent), number(o.Received), number(o.Idle))
	}
	return t.Flush()
}

func printChanges(out io.Writer, changes []Change) error {
	const notable = 1.15
	t := table(out, "what | compared with | was | in | is | ")
	for _, c := range changes {
		verdict := ""
		switch {
		case c.Worse > notable:
			verdict = fmt.Sprintf("WORSE by %.0f %%", 100*(c.Worse-1))
		case c.Worse < 1/notable:
			verdict = fmt.Sprintf("better by %.0f %%", 100*(1/c.Worse-1))
		}
		line(t, c.What, c.To, number(c.Was), c.In, number(c.Now), verdict)
	}
	return t.Flush()
}
