package telemetry

import (
	"crypto/x509"
	"encoding/pem"
	"os"

	"github.com/prometheus/client_golang/prometheus"
)

var certificateEnds = prometheus.NewDesc("pdnsdist_certificate_expires_timestamp_seconds",
	"When our certificate in the file that this key of the configuration names ends, as a Unix time.", []string{"key"}, nil)

// Certificates shows when our certificates end, those in PEM files by the keys of the
// configuration that name these. They are read at each look, since a renewed one is
// used without a restart. A file that cannot be read, or holds none, is not shown.
type Certificates map[string]string

// Describe is that of [prometheus.Collector].
func (c Certificates) Describe(to chan<- *prometheus.Desc) { to <- certificateEnds }

// Collect is that of [prometheus.Collector].
func (c Certificates) Collect(to chan<- prometheus.Metric) {
	for key, file := range c {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if own := firstCertificate(data); own != nil {
			to <- prometheus.MustNewConstMetric(certificateEnds, prometheus.GaugeValue, float64(own.NotAfter.Unix()), key)
		}
	}
}

// firstCertificate is the one that a peer is shown first: ours. The chain follows.
func firstCertificate(data []byte) *x509.Certificate {
	for block, rest := pem.Decode(data); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil
		}
		return cert
	}
	return nil
}
