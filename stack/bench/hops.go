package bench

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hop is one step of changes: how long after the request it began, and how long it took.
type Hop struct {
	Process string  `json:"process"`
	Name    string  `json:"hop"`
	Offset  Figures `json:"offset_ms"`
	Took    Figures `json:"took_ms"`
	// Slowest is how much longer than its median it took, on average, in the slowest twentieth of the changes.
	Slowest float64 `json:"slowest_ms"`
}

const (
	// firstHop is the one that a trace begins with.
	firstHop = "proxy request"
	// answerSeen is what the benchmark adds: the time until a secondary answered with the change.
	answerSeen = "answer seen"
)

// seen is one change as the benchmark saw it: when it was begun, and when each secondary answered with it.
type seen struct {
	began, served time.Time
	by            map[string]time.Time
}

// traced is one change with its hops: offsets and durations in milliseconds.
type traced struct {
	took float64
	hops map[hop][]window
}

type hop struct{ process, name string }

type window struct{ offset, took float64 }

// join puts the spans to the changes that they are of. Changes that left no trace are left out.
func join(changes []seen, all []span) []traced {
	byTrace := map[string][]span{}
	for _, s := range all {
		byTrace[s.Trace] = append(byTrace[s.Trace], s)
	}
	var joined []traced
	for _, first := range all {
		at := slices.IndexFunc(changes, func(c seen) bool {
			return first.Name == firstHop && first.Start.After(c.began) && first.Start.Before(c.served)
		})
		if at < 0 {
			continue
		}
		change := changes[at]
		t := traced{took: milliseconds(change.served.Sub(first.Start)), hops: map[hop][]window{}}
		t.add(first.Start, byTrace[first.Trace]...)
		for secondary, answered := range change.by {
			t.add(first.Start, span{Process: secondary, Name: answerSeen, Start: first.Start, End: answered})
		}
		joined = append(joined, t)
	}
	return joined
}

func (t *traced) add(began time.Time, spans ...span) {
	for _, s := range spans {
		if strings.HasPrefix(s.Name, "StartActivity:") || strings.HasPrefix(s.Name, "HandleSignal:") {
			continue // they take no time
		}
		key := hop{s.Process, s.Name}
		t.hops[key] = append(t.hops[key], window{milliseconds(s.Start.Sub(began)), milliseconds(s.End.Sub(s.Start))})
	}
}

// sumUp returns the hops in the order in which they begin, without those that few changes have, such as of a retry.
func sumUp(changes []traced) []Hop {
	slices.SortFunc(changes, func(a, b traced) int { return cmp.Compare(b.took, a.took) })
	offsets, took, slow := map[hop][]float64{}, map[hop][]float64{}, map[hop][]float64{}
	for i, change := range changes {
		for key, windows := range change.hops {
			for _, w := range windows {
				offsets[key], took[key] = append(offsets[key], w.offset), append(took[key], w.took)
				if i <= (len(changes)-1)/20 {
					slow[key] = append(slow[key], w.took)
				}
			}
		}
	}
	var all []Hop
	for key := range took {
		if 10*len(took[key]) < len(changes) {
			continue
		}
		h := Hop{Process: key.process, Name: key.name, Offset: *summarize(offsets[key]), Took: *summarize(took[key])}
		if len(slow[key]) > 0 {
			h.Slowest = mean(slow[key]) - h.Took.P50
		}
		all = append(all, h)
	}
	slices.SortFunc(all, func(a, b Hop) int {
		return cmp.Or(cmp.Compare(a.Offset.P50, b.Offset.P50), cmp.Compare(b.Took.P50, a.Took.P50), cmp.Compare(a.Process, b.Process))
	})
	return all
}

func mean(values []float64) float64 {
	var sum float64
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// printHops has a line a hop, as a table of Markdown: it goes into the documentation as it is.
func (r *Result) printHops(out io.Writer) error {
	if len(r.Hops) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nHops of a change, ms\n\n| process | hop | n | begins p50 | takes p50 | p90 | p99 | max | more in the slowest 5 %% |\n|---|---|--:|--:|--:|--:|--:|--:|--:|\n")
	for _, h := range r.Hops {
		fmt.Fprintf(out, "| %s | %s | %s | %.1f | %.1f | %.1f | %.1f | %.1f | %+.1f |\n",
			h.Process, h.Name, strconv.Itoa(h.Took.N), h.Offset.P50, h.Took.P50, h.Took.P90, h.Took.P99, h.Took.Max, h.Slowest)
	}
	return nil
}
