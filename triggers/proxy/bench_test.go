package proxy

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns/pdnstest"
)

// BenchmarkPatch times a change of one record directly and through the proxy,
// in turn, and reports the medians and what the proxy adds.
func BenchmarkPatch(b *testing.B) {
	powerdns := pdnstest.Primary(b, pdnstest.LMDB)
	p := start(b, testConfig(b, powerdns.APIURL, &fakeNATS{}))
	powerdns.CreateZone(b, "example.org.", "example.org. 60 IN SOA a. b. 1 2 3 4 5\nexample.org. 60 IN NS a.\n")
	plain := &http.Client{Transport: &http.Transport{}}
	patch := func(client *http.Client, base string, n int) time.Duration {
		body := fmt.Sprintf(`{"rrsets":[{"name":"www.example.org.","type":"A","ttl":60,"changetype":"REPLACE","records":[{"content":"192.0.2.%d"}]}]}`, n%250)
		begin := time.Now()
		if got := fetch(b, client, base, powerdns.APIKey, apiCall{"PATCH", zonePath, body, false}); got.status != http.StatusNoContent {
			b.Fatalf("%+v", got)
		}
		return time.Since(begin)
	}
	var direct, proxied []time.Duration
	for n := 0; b.Loop(); n++ {
		direct = append(direct, patch(plain, powerdns.APIURL, n))
		proxied = append(proxied, patch(p.client, p.url, n))
	}
	slices.Sort(direct)
	slices.Sort(proxied)
	at := func(list []time.Duration, percent int) float64 {
		return float64(list[(len(list)-1)*percent/100].Microseconds()) / 1000
	}
	b.ReportMetric(at(direct, 50), "direct-p50-ms")
	b.ReportMetric(at(proxied, 50), "proxied-p50-ms")
	b.ReportMetric(at(proxied, 99), "proxied-p99-ms")
	b.ReportMetric(at(proxied, 50)-at(direct, 50), "added-p50-ms")
}
