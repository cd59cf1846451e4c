package bench

import (
	"context"
	"fmt"
	"net/http"

	"github.com/prometheus/common/expfmt"
)

// exports is how many the primary has made since its start, those that found nothing new too.
func (b *bench) exports(ctx context.Context) (float64, error) {
	const name = "pdnsdist_exports_total"
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.env["PRIMARY_METRICS_URL"], nil)
	if err != nil {
		return 0, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	var parser expfmt.TextParser
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", req.URL, err)
	}
	var total float64
	for _, m := range families[name].GetMetric() { // one an outcome
		total += m.GetCounter().GetValue()
	}
	return total, nil
}
