package events

import "github.com/prometheus/client_golang/prometheus"

type metrics struct {
	events  *prometheus.CounterVec
	seconds prometheus.Histogram
}

func newMetrics(registerer prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_events_total",
			Help: "Deliveries of zone events by what became of them: accepted by Temporal, retried later, dead (can never work), " +
				"unacknowledged (NATS could not be told and delivers again).",
		}, []string{"result"}),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "pdnsdist_event_dispatch_duration_seconds",
			Help:    "Time until Temporal accepted a zone event, or failed to, with the wait for others that go in the same batch.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 3, 10},
		}),
	}
	for _, c := range []prometheus.Collector{m.events, m.seconds} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}
