package activities

import "github.com/prometheus/client_golang/prometheus"

// CheckMetrics counts how checks ended. A nil pointer counts nothing, so tests
// need none.
type CheckMetrics struct {
	runs        *prometheus.CounterVec
	found       *prometheus.CounterVec
	repaired    *prometheus.CounterVec
	lastSuccess *prometheus.GaugeVec
}

// NewCheckMetrics registers the metrics of checks.
func NewCheckMetrics(r prometheus.Registerer) *CheckMetrics {
	m := &CheckMetrics{
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_check_runs_total", Help: "Checks that ended, by check and outcome (in-sync, partial, failed, skipped).",
		}, []string{"check", "outcome"}),
		found: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_check_found_total", Help: "What checks found wrong, by check and kind.",
		}, []string{"check", "kind"}),
		repaired: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_check_repaired_total", Help: "What checks found wrong and had repaired, by check.",
		}, []string{"check"}),
		lastSuccess: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "pdnsdist_check_last_success_timestamp_seconds",
			Help: "When a check last looked at everything, whatever it found, since 1970.",
		}, []string{"check"}),
	}
	r.MustRegister(m.runs, m.found, m.repaired, m.lastSuccess)
	return m
}

func (m *CheckMetrics) ended(in NoteCheckInput) {
	if m == nil {
		return
	}
	m.runs.WithLabelValues(in.Check, in.Outcome).Inc()
	for kind, n := range in.Found {
		m.found.WithLabelValues(in.Check, kind).Add(float64(n))
	}
	m.repaired.WithLabelValues(in.Check).Add(float64(in.Repaired))
	m.Recall(in)
}

// Recall shows a check that ended before this process was started as the last
// one, without counting it.
func (m *CheckMetrics) Recall(in NoteCheckInput) {
	if m != nil && in.Outcome != "failed" && in.Outcome != "skipped" {
		m.lastSuccess.WithLabelValues(in.Check).Set(float64(in.EndedAt.UnixMilli()) / 1000)
	}
}
