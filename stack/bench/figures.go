package bench

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Figures sum up the samples of one measurement.
type Figures struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// summarize takes each percentile as the least sample that at least so many of the samples do not exceed (nearest rank).
// nil without samples.
func summarize(samples []float64) *Figures {
	if len(samples) == 0 {
		return nil
	}
	sorted := slices.Sorted(slices.Values(samples))
	at := func(percent int) float64 { return sorted[max(0, (percent*len(sorted)+99)/100-1)] }
	return &Figures{N: len(sorted), P50: at(50), P90: at(90), P99: at(99), Max: at(100)}
}

// Row is one measurement, of the three ways side by side. What was not measured is nil.
type Row struct {
	What    string   `json:"what"`
	Unit    string   `json:"unit"`
	Product *Figures `json:"product"`
	Native  *Figures `json:"native,omitempty"`
	Floor   *Figures `json:"floor,omitempty"`
	// RoundTrip, in milliseconds, is that of the secondaries' connections, where they were delayed.
	RoundTrip float64 `json:"round_trip_ms,omitempty"`

	file string // of a committed result
}

// at is the row of what was measured with so much delay.
func (r Row) at(trip time.Duration) Row {
	r.What += fmt.Sprintf(", round trip %s", trip)
	if r.Unit == "ms" {
		r.RoundTrip = milliseconds(trip)
	}
	return r
}

// rate tells that more is better.
func (r Row) rate() bool { return strings.HasSuffix(r.Unit, "/s") }

// toNative is the product's median as a multiple of the native replication's; 0 when there is none.
func (r Row) toNative() float64 { return ratio(r.Product, r.Native) }

// toFloor is the product's median as a multiple of the floor's; 0 when there is none.
func (r Row) toFloor() float64 { return ratio(r.Product, r.Floor) }

// tailToFloor is how the product's slowest hundredth compares with the floor's median; 0 where more is better.
func (r Row) tailToFloor() float64 {
	if r.Product == nil || r.Floor == nil || r.rate() {
		return 0
	}
	return r.Product.P99 / r.Floor.P50
}

// trips is the product's median in round trips; 0 without delay.
func (r Row) trips() float64 {
	if r.Product == nil || r.RoundTrip == 0 {
		return 0
	}
	return r.Product.P50 / r.RoundTrip
}

func ratio(of, to *Figures) float64 {
	if of == nil || to == nil || to.P50 == 0 {
		return 0
	}
	return of.P50 / to.P50
}

// samples collects what one measurement gives for each way, by the way's name.
type samples map[string][]float64

func (s samples) add(w *way, value float64) { s[w.name] = append(s[w.name], value) }

func (s samples) row(what, unit string) Row {
	return Row{
		What: what, Unit: unit,
		Product: summarize(s[productName]), Native: summarize(s[nativeName]), Floor: summarize(s[floorName]),
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
