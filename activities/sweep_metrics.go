package activities

import (
	"math"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// SurveyMetrics counts what a primary's side of the checks of signatures and
// content found. A nil pointer counts nothing, so tests need none.
type SurveyMetrics struct {
	zones *prometheus.CounterVec
	asked *prometheus.CounterVec
}

// NewSurveyMetrics registers the metrics of surveys.
func NewSurveyMetrics(r prometheus.Registerer) *SurveyMetrics {
	m := &SurveyMetrics{
		zones: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_check_surveyed_zones_total",
			Help: "Zones that the checks of signatures and content looked at on the primary, by outcome (current, published, unrenewable, unanswerable, failed, or that of the export).",
		}, []string{"check", "outcome"}),
		asked: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_signatures_verified_total",
			Help: "Zones of which a secondary's signatures were verified from outside, by state (fresh, rolling, different, expiring, missing, bogus, changing, unreachable).",
		}, []string{"state"}),
	}
	r.MustRegister(m.zones, m.asked)
	return m
}

func (m *SurveyMetrics) surveyed(check string, outcomes map[string]int) {
	if m == nil {
		return
	}
	for outcome, n := range outcomes {
		m.zones.WithLabelValues(check, outcome).Add(float64(n))
	}
}

func (m *SurveyMetrics) verified(states map[string]int) {
	if m == nil {
		return
	}
	for state, n := range states {
		m.asked.WithLabelValues(state).Add(float64(n))
	}
}

// comparedMetrics counts what a secondary's side of these checks found.
type comparedMetrics struct {
	zones *prometheus.CounterVec
	// expires is when the first of all signatures ends that the last check saw,
	// in seconds since 1970; 0 when that is not known.
	expires atomic.Int64
}

func newComparedMetrics(r prometheus.Registerer) *comparedMetrics {
	m := &comparedMetrics{zones: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pdnsdist_check_compared_zones_total",
		Help: "Zones that the checks of signatures and content compared on this secondary, by state.",
	}, []string{"check", "state"})}
	r.MustRegister(m.zones, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pdnsdist_signature_remaining_seconds_min",
		Help: "Time until the first of the signatures ends that the last check saw this secondary serve. NaN before the first check, and without signed zones.",
	}, m.remaining))
	return m
}

func (m *comparedMetrics) remaining() float64 {
	expires := m.expires.Load()
	if expires == 0 {
		return math.NaN()
	}
	return time.Until(time.Unix(expires, 0)).Seconds()
}

func (m *comparedMetrics) compared(check string, result CompareResult) {
	for state, n := range result.States {
		m.zones.WithLabelValues(check, state).Add(float64(n))
	}
}
