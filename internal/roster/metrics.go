package roster

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// collectWithin bounds the questions of one scrape.
const collectWithin = 2 * time.Second

var secondaries = prometheus.NewDesc("pdnsdist_secondaries",
	"Secondaries of the roster by state: active, absent (Consul does not find it reachable, so it is lagging), paused.", []string{"state"}, nil)

// Collector counts the secondaries by state, at each scrape.
type Collector struct {
	Roster *Roster
	// Reachable returns the IDs of those that are.
	Reachable func(ctx context.Context) (map[string]bool, error)
}

// Describe implements [prometheus.Collector].
func (c *Collector) Describe(descs chan<- *prometheus.Desc) { descs <- secondaries }

// Collect implements [prometheus.Collector]: nothing where the roster or Consul
// does not answer, since any number would be guessed.
func (c *Collector) Collect(metrics chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectWithin)
	defer cancel()
	list, err := c.Roster.List(ctx)
	if err != nil {
		return
	}
	reachable, err := c.Reachable(ctx)
	if err != nil {
		return
	}
	counts := map[string]int{"active": 0, "absent": 0, "paused": 0}
	for _, s := range list {
		switch {
		case s.Paused:
			counts["paused"]++
		case reachable[s.ID]:
			counts["active"]++
		default:
			counts["absent"]++
		}
	}
	for state, n := range counts {
		metrics <- prometheus.MustNewConstMetric(secondaries, prometheus.GaugeValue, float64(n), state)
	}
}
