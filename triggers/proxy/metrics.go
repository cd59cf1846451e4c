package proxy

import (
	"net/http"
	"slices"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the proxy's; none is labelled with a zone.
type metrics struct {
	requests  *prometheus.CounterVec
	seconds   *prometheus.HistogramVec
	changes   *prometheus.CounterVec
	unnamed   prometheus.Counter
	published *prometheus.CounterVec
}

func newMetrics(registerer prometheus.Registerer, pending func() int64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_proxy_requests_total",
			Help: "Requests to the api-proxy by method and class of the answer's status.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "pdnsdist_proxy_request_duration_seconds",
			Help:    "Time from a request's arrival to the head of its answer, PowerDNS's time included.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"method"}),
		changes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_proxy_changes_total",
			Help: "Requests that changed a zone, or may have, by kind of change.",
		}, []string{"kind"}),
		unnamed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "pdnsdist_proxy_unnamed_changes_total",
			Help: "Successful requests that created a zone whose name could not be read from the body; no event followed.",
		}),
		published: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "pdnsdist_events_published_total",
			Help: "Zone events sent to NATS: acknowledged (ok) or to be tried again (failed).",
		}, []string{"result"}),
	}
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pdnsdist_outbox_pending",
		Help: "Changes whose event NATS has not acknowledged yet.",
	}, func() float64 { return float64(pending()) })
	for _, c := range []prometheus.Collector{m.requests, m.seconds, m.changes, m.unnamed, m.published, waiting} {
		if err := registerer.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// methodLabel keeps the label bounded: a client may send any word as method.
func methodLabel(method string) string {
	if slices.Contains(methods, method) {
		return method
	}
	return "other"
}

func codeLabel(status int) string { return strconv.Itoa(status/100) + "xx" }
