package activities

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// PrimaryMetrics counts what a primary's exports found. A nil pointer counts
// nothing, so tests need none.
type PrimaryMetrics struct {
	exports      *prometheus.CounterVec
	deltas       *prometheus.CounterVec
	foretellings *prometheus.CounterVec
	serialBack   prometheus.Counter
}

// What became of changes of big zones on a primary that might be published alone,
// and of the versions made so.
const (
	deltaMade = "made"
	// deltaRefused: a full export followed instead.
	deltaRefused  = "refused"
	deltaProven   = "proven"
	deltaReplaced = "replaced"
)

// What was found of versions of small zones that were published before the zone was read.
const (
	foretoldRight = "right"
	// foretoldMore: the zone said more by then, which was published as well.
	foretoldMore = "more"
	// foretoldUnread: it could not be read; the sync does so.
	foretoldUnread = "unread"
)

// NewPrimaryMetrics registers the metrics of a primary's activities.
func NewPrimaryMetrics(r prometheus.Registerer) *PrimaryMetrics {
	m := &PrimaryMetrics{
		exports: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_exports_total", Help: "Zone exports by outcome (published, unchanged, elsewhere, behind, gone, unknown, skipped, held, failed).",
		}, []string{"outcome"}),
		deltas: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_deltas_total", Help: "Delta versions of big zones by what became of them (made, proven, replaced), and changes that could have been one (refused).",
		}, []string{"result"}),
		foretellings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_foretold_total", Help: "Versions of small zones published before the zone was read, by what that found (right, more, unread).",
		}, []string{"result"}),
		serialBack: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pdnsdist_serial_went_back_total", Help: "Versions published with a lower serial than the one before (restored backup).",
		}),
	}
	r.MustRegister(m.exports, m.deltas, m.foretellings, m.serialBack)
	return m
}

// exported counts an export that ended with outcome, or failed.
func (m *PrimaryMetrics) exported(outcome string, err error) {
	if err != nil {
		outcome = ExportFailed
	}
	if m != nil {
		m.exports.WithLabelValues(outcome).Inc()
	}
}

func (m *PrimaryMetrics) delta(result string) {
	if m != nil {
		m.deltas.WithLabelValues(result).Inc()
	}
}

func (m *PrimaryMetrics) foretold(result string) {
	if m != nil {
		m.foretellings.WithLabelValues(result).Inc()
	}
}

func (m *PrimaryMetrics) serialWentBack() {
	if m != nil {
		m.serialBack.Inc()
	}
}

// VerifyMetrics counts what checks from outside saw.
type VerifyMetrics struct{ states *prometheus.CounterVec }

// NewVerifyMetrics registers the metrics of the check from outside.
func NewVerifyMetrics(r prometheus.Registerer) *VerifyMetrics {
	m := &VerifyMetrics{states: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pdnsdist_event_check_total", Help: "Secondaries asked from outside after a change, by what they served (current, outdated, missing, left over, unreachable).",
	}, []string{"state"})}
	r.MustRegister(m.states)
	return m
}

func (m *VerifyMetrics) verified(state string) {
	if m != nil {
		m.states.WithLabelValues(state).Inc()
	}
}

// SecondaryMetrics counts and times what a secondary applied.
type SecondaryMetrics struct {
	applied  *prometheus.CounterVec
	deltas   *prometheus.CounterVec
	duration prometheus.Histogram
	// Of full compares: how they ended, what they did, when one last ended well.
	reconciles, reconciledZones *prometheus.CounterVec
	lastReconcile               prometheus.Gauge
	*comparedMetrics
}

// NewSecondaryMetrics registers the metrics of a secondary's activities.
func NewSecondaryMetrics(r prometheus.Registerer) *SecondaryMetrics {
	m := &SecondaryMetrics{
		applied: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_applies_total", Help: "Zones brought to their newest version, by outcome (applied, current, deleted, foreign, none, paused, ahead, failed).",
		}, []string{"outcome"}),
		deltas: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_deltas_applied_total", Help: "Versions that say what changed, by how they were applied here (deltas: changed alone or full; amended: small zones).",
		}, []string{"how"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "pdnsdist_apply_duration_seconds", Help: "Time from the start of an apply until the new content was served.",
			Buckets: prometheus.ExponentialBuckets(0.001, 2, 16),
		}),
	}
	m.reconciles = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pdnsdist_reconciles_total", Help: "Full compares of this secondary that ended, by outcome (in-sync, partial).",
	}, []string{"outcome"})
	m.reconciledZones = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "pdnsdist_reconciled_zones_total", Help: "Zones that full compares did something about, by result (applied, deleted, ahead, failed).",
	}, []string{"result"})
	m.lastReconcile = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "pdnsdist_reconcile_last_success_timestamp_seconds", Help: "When a full compare of this secondary last ended in sync, since 1970; 0 for never since the start.",
	})
	r.MustRegister(m.applied, m.deltas, m.duration, m.reconciles, m.reconciledZones, m.lastReconcile)
	m.comparedMetrics = newComparedMetrics(r)
	return m
}

// signatures counts what a comparison of signatures found; with the last part,
// the least time of all parts is known.
func (m *SecondaryMetrics) signatures(result CompareResult, last bool) {
	if m == nil {
		return
	}
	m.compared("signatures", result)
	if !last {
		return
	}
	expires := int64(0)
	if !result.Expires.IsZero() {
		expires = result.Expires.Unix()
	}
	m.expires.Store(expires)
}

// reconciled counts what a piece of a full compare did, and with the last one how it ended.
func (m *SecondaryMetrics) reconciled(r ReconcileZonesResult, now time.Time) {
	if m == nil {
		return
	}
	for result, n := range map[string]int{"applied": r.Applied, "deleted": r.Deleted, "ahead": r.Ahead, "failed": r.Failed} {
		m.reconciledZones.WithLabelValues(result).Add(float64(n))
	}
	switch {
	case r.Remaining > 0:
	case r.Ahead > 0 || r.Failed > 0 || r.Blocked > 0:
		m.reconciles.WithLabelValues("partial").Inc()
	default:
		m.reconciles.WithLabelValues("in-sync").Inc()
		m.lastReconcile.Set(float64(now.UnixMilli()) / 1000)
	}
}

func (m *SecondaryMetrics) contents(result CompareResult) {
	if m != nil {
		m.compared("content", result)
	}
}

// How a delta was applied, or a difference.
const (
	deltaAmended = "amended"
	deltaChanged = "changed"
	deltaInFull  = "full"
)

func (m *SecondaryMetrics) delta(how string) {
	if m != nil {
		m.deltas.WithLabelValues(how).Inc()
	}
}

func (m *SecondaryMetrics) observed(outcome string, seconds float64) {
	if m == nil {
		return
	}
	m.applied.WithLabelValues(outcome).Inc()
	if outcome == AppliedNow || outcome == AppliedDelete {
		m.duration.Observe(seconds)
	}
}
