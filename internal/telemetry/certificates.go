package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/pdns-distribute/pdns-distribute/internal/tlsconf"
)

var certificateEnds = prometheus.NewDesc("pdnsdist_certificate_expires_timestamp_seconds",
	"When our certificate in the file that this key of the configuration names ends, as a Unix time.", []string{"key"}, nil)

// Certificates shows when our certificates end, by the keys of the configuration
// that name their files. These are read at each look, since a renewed one is used without a
// restart; where it cannot be, the one that is used instead counts.
type Certificates map[string]*tlsconf.Pair

// Describe is that of [prometheus.Collector].
func (c Certificates) Describe(to chan<- *prometheus.Desc) { to <- certificateEnds }

// Collect is that of [prometheus.Collector].
func (c Certificates) Collect(to chan<- prometheus.Metric) {
	for key, pair := range c {
		to <- prometheus.MustNewConstMetric(certificateEnds, prometheus.GaugeValue, float64(pair.Current().Leaf.NotAfter.Unix()), key)
	}
}
