package telemetry

import (
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// NewRegistry returns a registry with what every process shows: the Go
// runtime, the process itself, and pdnsdist_build_info, which is always 1 and
// carries the version and the role as labels.
func NewRegistry(version, role string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	info := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "pdnsdist_build_info",
		Help:        "Always 1; the labels say which build this is and what it runs as.",
		ConstLabels: prometheus.Labels{"version": version, "role": role, "goversion": runtime.Version()},
	}, func() float64 { return 1 })
	registry.MustRegister(info, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}
