package config

import "net/url"

// checkTracing looks at nothing while tracing is off. What spans say, zone names
// and hosts, goes encrypted or stays on this host.
func (c *Config) checkTracing(faults *faultList) {
	const key = "tracing.otlp_url"
	if c.Tracing.OTLPURL == "" {
		return
	}
	address, err := url.Parse(c.Tracing.OTLPURL)
	switch {
	case err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https":
		faults.add(key, "is no web address, expected one such as https://collector.example.net:4318/v1/traces")
	case address.User != nil:
		faults.add(key, "holds a user or password, expected none")
	case address.Path == "" || address.Path == "/" || address.RawQuery != "" || address.Fragment != "":
		faults.add(key, "is %q, expected an address with the collector's path and nothing behind it, such as https://collector.example.net:4318/v1/traces", c.Tracing.OTLPURL)
	case address.Scheme == "http" && !isLoopback(address.Hostname()):
		faults.add(key, "is %q, expected https://, or http:// on a loopback address", c.Tracing.OTLPURL)
	}
	checkAuthorities(faults, "tracing.ca_file", c.Tracing.CAFile, false)
	if c.Tracing.SamplePercent < 1 || c.Tracing.SamplePercent > 100 {
		faults.add("tracing.sample_percent", "is %d, expected 1 to 100 percent", c.Tracing.SamplePercent)
	}
}
