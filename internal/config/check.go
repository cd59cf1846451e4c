package config

import (
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	hostID = regexp.MustCompile(`^[a-z0-9-]{1,63}$`)
	// subject is what NATS takes as a subject to publish to: no wildcards.
	subject = regexp.MustCompile(`^[A-Za-z0-9_$-]+(\.[A-Za-z0-9_$-]+)*$`)
)

// deadSubject is where events go that can never work; they must not come back
// as events.
const deadSubject = "zone.dead"

// check reports every value that the role cannot work with, and reads the
// secrets.
func (c *Config) check(faults *faultList) {
	c.checkLog(faults)
	c.checkNATS(faults)
	c.checkConsul(faults)
	c.checkTemporal(faults)
	if c.Role == RoleClient {
		// A command asks the PowerDNS of its host too where it may read the key.
		c.PowerDNS.APIKey, _ = readSecret(&faultList{}, "powerdns.api_key_file", c.PowerDNS.APIKeyFile, "")
		return
	}
	if !hostID.MatchString(c.Host.ID) {
		faults.add("host.id", `is %q, expected 1 to 63 of a-z, 0-9 and "-"`, c.Host.ID)
	}
	checkFolder(faults, "host.state_dir", c.Host.StateDir)
	if c.Metrics.Listen != "" {
		checkListen(faults, "metrics.listen", c.Metrics.Listen)
	}
	c.checkTracing(faults)
	c.checkPowerDNS(faults)
	switch c.Role {
	case RolePrimary:
		c.checkPrimary(faults)
	case RoleSecondary:
		checkLoopback(faults, "secondary.transfer_address", c.Secondary.TransferAddress)
		checkAdvertised(faults, "secondary.advertise_dns_address", c.Secondary.AdvertiseDNSAddress)
	}
}

func (c *Config) checkLog(faults *faultList) {
	if levels := []string{"debug", "info", "warn", "error"}; !slices.Contains(levels, c.Log.Level) {
		faults.add("log.level", "is %q, expected one of %s", c.Log.Level, strings.Join(levels, ", "))
	}
	if c.Log.Format != "text" && c.Log.Format != "json" {
		faults.add("log.format", "is %q, expected text or json", c.Log.Format)
	}
}

func (c *Config) checkPowerDNS(faults *faultList) {
	const key = "powerdns.api_url"
	checkLoopback(faults, "powerdns.dns_address", c.PowerDNS.DNSAddress)
	if secret, ok := readSecret(faults, "powerdns.api_key_file", c.PowerDNS.APIKeyFile, "PowerDNS's api-key"); ok {
		c.PowerDNS.APIKey = secret
	}
	address, err := url.Parse(c.PowerDNS.APIURL)
	switch {
	case err != nil || address.Host == "" || address.Scheme != "http" && address.Scheme != "https":
		faults.add(key, "is no web address, expected one such as http://127.0.0.1:8081")
	case address.User != nil:
		faults.add(key, "holds a user or password, expected none: the key is in powerdns.api_key_file")
	case strings.Trim(address.Path, "/") != "" || address.RawQuery != "" || address.Fragment != "":
		faults.add(key, "is %q, expected nothing after the port: /api/v1 is added", c.PowerDNS.APIURL)
	case address.Scheme != "http" || !isLoopback(address.Hostname()):
		faults.add(key, "is %q, expected http:// on a loopback address: PowerDNS is on this host, and the key goes there in clear", c.PowerDNS.APIURL)
	}
}

func (c *Config) checkNATS(faults *faultList) {
	if len(c.NATS.URLs) == 0 {
		faults.add("nats.urls", "missing, expected the servers as tls://host:port")
	}
	for _, text := range c.NATS.URLs {
		checkServerURL(faults, "nats.urls", text, "tls")
	}
	checkAuthorities(faults, "nats.ca_file", c.NATS.CAFile, true)
	checkPair(faults, "nats", c.NATS.CertFile, c.NATS.KeyFile)
	if c.NATS.CredsFile == "" && c.NATS.User == "" && c.NATS.PasswordFile == "" && c.NATS.CertFile == "" && c.NATS.KeyFile == "" {
		faults.add("nats.creds_file", "missing, expected a login: nats.creds_file, or nats.user with nats.password_file, or nats.cert_file with nats.key_file")
	}
	if c.NATS.CredsFile != "" {
		checkCredentials(faults, "nats.creds_file", c.NATS.CredsFile)
		if c.NATS.User != "" {
			faults.add("nats.user", "is set beside nats.creds_file, expected one of the two")
		}
	}
	if c.NATS.User == "" && c.NATS.PasswordFile != "" {
		faults.add("nats.user", "missing, expected the user of nats.password_file")
	}
	if c.NATS.User != "" || c.NATS.PasswordFile != "" {
		readSecret(faults, "nats.password_file", c.NATS.PasswordFile, "the password of nats.user")
	}
	if c.NATS.Replicas < 1 || c.NATS.Replicas > 5 {
		faults.add("nats.replicas", "is %d, expected 1 to 5", c.NATS.Replicas)
	}
	c.checkEvents(faults)
}

func (c *Config) checkEvents(faults *faultList) {
	taken := map[string]string{deadSubject: "that of dead letters"}
	for _, s := range []struct{ key, subject string }{
		{"events.subject_add", c.Events.SubjectAdd},
		{"events.subject_modified", c.Events.SubjectModified},
		{"events.subject_delete", c.Events.SubjectDelete},
	} {
		if !subject.MatchString(s.subject) {
			faults.add(s.key, `is %q, expected a NATS subject without wildcards, such as "zone.add"`, s.subject)
		} else if other := taken[s.subject]; other != "" {
			faults.add(s.key, "is %q like %s, expected a subject of its own", s.subject, other)
		}
		taken[s.subject] = s.key
	}
}

func (c *Config) checkConsul(faults *faultList) {
	if c.Consul.Address == "" {
		faults.add("consul.address", "missing, expected the local agent as https://host:port")
	} else {
		checkServerURL(faults, "consul.address", c.Consul.Address, "https")
	}
	checkAuthorities(faults, "consul.ca_file", c.Consul.CAFile, true)
	checkPair(faults, "consul", c.Consul.CertFile, c.Consul.KeyFile)
	readSecret(faults, "consul.token_file", c.Consul.TokenFile, "an ACL token of Consul")
}

func (c *Config) checkTemporal(faults *faultList) {
	if c.Temporal.Address == "" {
		faults.add("temporal.address", "missing, expected the frontend as host:port")
	} else {
		checkAddress(faults, "temporal.address", c.Temporal.Address)
	}
	if c.Temporal.Namespace == "" {
		faults.add("temporal.namespace", "is empty, expected the name of a namespace")
	}
	certificate := c.Temporal.CertFile != "" || c.Temporal.KeyFile != ""
	if !certificate && c.Temporal.APIKeyFile == "" {
		faults.add("temporal.cert_file", "missing, expected a login: temporal.cert_file with temporal.key_file, or temporal.api_key_file")
	}
	checkAuthorities(faults, "temporal.ca_file", c.Temporal.CAFile, certificate || c.Temporal.APIKeyFile == "")
	checkPair(faults, "temporal", c.Temporal.CertFile, c.Temporal.KeyFile)
	if c.Temporal.APIKeyFile != "" {
		readSecret(faults, "temporal.api_key_file", c.Temporal.APIKeyFile, "an API key of Temporal")
	}
}

func (c *Config) checkPrimary(faults *faultList) {
	if !c.Primary.Proxy && !c.Primary.Trigger && !c.Primary.Worker {
		faults.add("primary.worker", "is false like primary.proxy and primary.trigger, expected at least one of the three to run")
	}
	checkRange(faults, "primary.max_lag", c.Primary.MaxLag, time.Second, 24*time.Hour)
	checkRange(faults, "sync.min_interval", c.Sync.MinInterval, 0, time.Minute)
	checkRange(faults, "sync.event_check_wait", c.Sync.EventCheckWait, time.Second, time.Hour)
	c.checkChecks(faults)
	c.checkZones(faults)
	c.checkGuard(faults)
	if c.Primary.Proxy {
		checkListen(faults, "proxy.listen", c.Proxy.Listen)
		checkPair(faults, "proxy", c.Proxy.CertFile, c.Proxy.KeyFile)
	}
}

func (c *Config) checkChecks(faults *faultList) {
	checkRange(faults, "checks.health_interval", c.Checks.HealthInterval, time.Minute, 24*time.Hour)
	checkRange(faults, "checks.scan_interval", c.Checks.ScanInterval, 10*time.Second, time.Hour)
	checkRange(faults, "checks.signature_interval", c.Checks.SignatureInterval, time.Minute, 48*time.Hour)
	checkRange(faults, "checks.content_interval", c.Checks.ContentInterval, 10*time.Minute, 30*24*time.Hour)
	checkRange(faults, "checks.nsec3_interval", c.Checks.NSEC3Interval, time.Minute, 24*time.Hour)
	if c.Checks.ContentSample < 1 || c.Checks.ContentSample > 100 {
		faults.add("checks.content_sample", "is %d, expected 1 to 100 percent", c.Checks.ContentSample)
	}
	checkRange(faults, "signatures.min_remaining", c.Signatures.MinRemaining, time.Hour, 167*time.Hour)
}

func checkRange(faults *faultList, key string, value, least, most time.Duration) {
	if value < least || value > most {
		faults.add(key, "is %v, expected %v to %v", value, least, most)
	}
}
