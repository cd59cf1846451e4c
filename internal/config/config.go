// Package config holds the configuration of pdns-distribute: one struct with its
// defaults, read from a TOML file, the environment over it and the command
// line over both. Nothing is guessed: unknown keys, wrong types and bad values
// are all reported together, each by its key, and stop the start-up. The
// comments of the fields below are the reference in docs/configuration.md.
package config

//go:generate go run ./confdoc -o ../../docs/configuration.md

import (
	"os"
	"strings"
	"time"
)

// Role says what a process does, and with it which keys it needs.
type Role string

// The roles.
const (
	// RolePrimary runs beside the PowerDNS that holds the zones.
	RolePrimary Role = "primary"
	// RoleSecondary runs beside a PowerDNS that answers the public.
	RoleSecondary Role = "secondary"
	// RoleClient is a command that asks the system and ends: resync, status.
	RoleClient Role = "client"
)

// DefaultPath is where the configuration file is looked for.
const DefaultPath = "/etc/pdns-distribute/config.toml"

// Config is the whole configuration. One file serves a host; each role reads
// the sections that it needs.
type Config struct {
	// Role is what the configuration was checked for.
	Role Role `mapstructure:"-"`

	// Host says who this host is.
	Host Host `mapstructure:"host"`
	// Log says what is logged, to standard error.
	Log Log `mapstructure:"log"`
	// Metrics is the listener for /metrics, /livez and /readyz.
	Metrics Metrics `mapstructure:"metrics"`
	// Tracing says where OpenTelemetry spans go: a trace a change, with a span for
	// each hop. Used by the roles primary and secondary; the same on every host, or
	// traces have gaps.
	Tracing Tracing `mapstructure:"tracing"`
	// PowerDNS is the server on this host; it alone is spoken to in clear.
	// Used by the roles primary and secondary.
	PowerDNS PowerDNS `mapstructure:"powerdns"`
	// NATS carries events and zone content. Always TLS, always with a login: one
	// of `creds_file`; `user` with `password_file`; `cert_file` with `key_file`.
	NATS NATS `mapstructure:"nats"`
	// Consul says which hosts are reachable. Always TLS, always with a token.
	Consul Consul `mapstructure:"consul"`
	// Temporal runs the workflows. Always TLS, always with a login:
	// `cert_file` with `key_file`, or `api_key_file`, or both.
	Temporal Temporal `mapstructure:"temporal"`
	// Events names the NATS subjects of zone events; the same on every host.
	Events Events `mapstructure:"events"`
	// Primary says which parts `pdns-distribute primary` runs.
	Primary Primary `mapstructure:"primary"`
	// Proxy is the HTTPS listener in front of the PowerDNS API, on a primary.
	Proxy Proxy `mapstructure:"proxy"`
	// Secondary is for `pdns-distribute secondary`.
	Secondary Secondary `mapstructure:"secondary"`
	// Sync sets the pace of a zone's sync; used where workflows run, so on
	// primaries.
	Sync Sync `mapstructure:"sync"`
	// Checks says how often each check runs by itself; the same on every primary.
	// Each one can also be started by hand at any time.
	Checks Checks `mapstructure:"checks"`
	// Zones says which zones are distributed; the same on every primary. A zone
	// that was distributed and is not any more is deleted from the secondaries,
	// like one that is gone, and the guard counts it.
	Zones Zones `mapstructure:"zones"`
	// Guard holds back what looks like an accident, until a person approves it;
	// used on primaries.
	Guard Guard `mapstructure:"guard"`
	// Signatures says when signatures are replaced; used on primaries.
	Signatures Signatures `mapstructure:"signatures"`
	// NSEC3 is the policy of NSEC3 everywhere; used on primaries.
	NSEC3 NSEC3 `mapstructure:"nsec3"`
}

// Host is the section [host].
type Host struct {
	// ID names this host for ever: in task queues, Consul and the roster. 1 to
	// 63 of a-z, 0-9 and "-". By default the host's name in lower case, each dot
	// a dash.
	ID string `mapstructure:"id"`
	// StateDir is the folder for the outbox, the applied versions, what is to be
	// checked after a loss, and a self-made certificate. Made when it is missing.
	// Each role needs one of its own.
	StateDir string `mapstructure:"state_dir"`
}

// Log is the section [log].
type Log struct {
	// Level is the least severe level that is logged: debug, info, warn or error.
	Level string `mapstructure:"level"`
	// Format is how: text (key=value) or json.
	Format string `mapstructure:"format"`
}

// Metrics is the section [metrics].
type Metrics struct {
	// Listen is the address, host:port. Plain HTTP without authentication: keep it
	// on loopback or behind a firewall. Empty switches it off.
	Listen string `mapstructure:"listen"`
}

// Tracing is the section [tracing].
type Tracing struct {
	// OTLPURL is the collector's address for OTLP over HTTP, with its path, such as
	// https://collector.example.net:4318/v1/traces; http:// on a loopback address
	// only. Empty switches tracing off.
	OTLPURL string `mapstructure:"otlp_url"`
	// CAFile holds the PEM certificates of the authorities that sign the
	// collector's certificate. Empty: the system's are trusted.
	CAFile string `mapstructure:"ca_file"`
	// SamplePercent is how many percent of the changes are traced, 1 to 100;
	// chosen by the proxy that takes the change.
	SamplePercent int `mapstructure:"sample_percent"`
}

// PowerDNS is the section [powerdns].
type PowerDNS struct {
	// APIURL is the server's API, without /api/v1: http:// on a loopback address.
	APIURL string `mapstructure:"api_url"`
	// APIKeyFile holds PowerDNS's api-key. Required.
	APIKeyFile string `mapstructure:"api_key_file"`
	// APIKey is what APIKeyFile holds.
	APIKey Secret `mapstructure:"-"`
	// DNSAddress is where PowerDNS answers DNS on this host, a loopback address
	// with port. Must be in its local-address, and on a primary allowed by
	// allow-axfr-ips.
	DNSAddress string `mapstructure:"dns_address"`
}

// NATS is the section [nats].
type NATS struct {
	// URLs are the servers, each tls://host:port; one that answers is enough. In
	// the environment separated by commas. Required.
	URLs []string `mapstructure:"urls"`
	// CAFile holds the PEM certificates of the authorities that sign the
	// servers' certificates. Required.
	CAFile string `mapstructure:"ca_file"`
	// CredsFile is a .creds file (user JWT and its key).
	CredsFile string `mapstructure:"creds_file"`
	// User is the user's name; needs `password_file`.
	User string `mapstructure:"user"`
	// PasswordFile holds the user's password.
	PasswordFile string `mapstructure:"password_file"`
	// CertFile is our PEM certificate, where the servers ask for one; needs
	// `key_file`.
	CertFile string `mapstructure:"cert_file"`
	// KeyFile is the certificate's PEM key.
	KeyFile string `mapstructure:"key_file"`
	// Replicas is how many servers keep each stream and bucket, 1 to 5; at
	// most as many as the cluster has.
	Replicas int `mapstructure:"replicas"`
}

// Consul is the section [consul].
type Consul struct {
	// Address is the local agent's API, https://host:port. Required.
	Address string `mapstructure:"address"`
	// CAFile holds the PEM certificates of the authorities that sign the
	// agent's certificate. Required.
	CAFile string `mapstructure:"ca_file"`
	// TokenFile holds the ACL token. Required.
	TokenFile string `mapstructure:"token_file"`
	// CertFile is our PEM certificate, where the agent asks for one; needs
	// `key_file`.
	CertFile string `mapstructure:"cert_file"`
	// KeyFile is the certificate's PEM key.
	KeyFile string `mapstructure:"key_file"`
}

// Temporal is the section [temporal].
type Temporal struct {
	// Address is the frontend, host:port; always spoken to over TLS. Required.
	Address string `mapstructure:"address"`
	// Namespace is the namespace to work in; it must exist.
	Namespace string `mapstructure:"namespace"`
	// CAFile holds the PEM certificates of the authorities that sign the
	// frontend's certificate. Required, unless `api_key_file` alone is used:
	// then the system's authorities are trusted.
	CAFile string `mapstructure:"ca_file"`
	// CertFile is our PEM certificate; needs `key_file`.
	CertFile string `mapstructure:"cert_file"`
	// KeyFile is the certificate's PEM key.
	KeyFile string `mapstructure:"key_file"`
	// APIKeyFile holds an API key.
	APIKeyFile string `mapstructure:"api_key_file"`
	// ServerName is the name that the frontend's certificate must carry, where it
	// differs from the host in `address`.
	ServerName string `mapstructure:"server_name"`
}

// Events is the section [events].
type Events struct {
	// SubjectAdd is the subject for a zone that was created.
	SubjectAdd string `mapstructure:"subject_add"`
	// SubjectModified is the subject for a zone that was changed.
	SubjectModified string `mapstructure:"subject_modified"`
	// SubjectDelete is the subject for a zone that was deleted.
	SubjectDelete string `mapstructure:"subject_delete"`
}

// Primary is the section [primary].
type Primary struct {
	// Proxy runs the HTTPS proxy in front of the PowerDNS API.
	Proxy bool `mapstructure:"proxy"`
	// Trigger turns events and Consul changes into workflows.
	Trigger bool `mapstructure:"trigger"`
	// Worker runs workflows and exports zones.
	Worker bool `mapstructure:"worker"`
	// MaxLag is how long this primary's database may lag behind another
	// primary's, 1s to 24h; the same on every primary. If the primary that published
	// a version does not answer, the others wait this long before they publish other
	// content or delete the zone. While it answers, it is asked instead.
	MaxLag time.Duration `mapstructure:"max_lag"`
}

// Proxy is the section [proxy].
type Proxy struct {
	// Listen is the address for HTTPS, host:port; an empty host means every
	// address.
	Listen string `mapstructure:"listen"`
	// CertFile is the PEM certificate, with its chain. When it and `key_file`
	// are empty, a self-signed one is made once and kept in `host.state_dir`.
	CertFile string `mapstructure:"cert_file"`
	// KeyFile is the certificate's PEM key.
	KeyFile string `mapstructure:"key_file"`
}

// Secondary is the section [secondary].
type Secondary struct {
	// TransferAddress is where PowerDNS fetches its zones from us, a loopback IP
	// address with port. It stands in PowerDNS as the master of every zone that
	// we made: a change makes these foreign.
	TransferAddress string `mapstructure:"transfer_address"`
	// AdvertiseDNSAddress is the address with port at which primaries check what
	// this secondary serves. An IP address is best; a name must not depend on
	// the zones served here. Required on a secondary.
	AdvertiseDNSAddress string `mapstructure:"advertise_dns_address"`
}

// Sync is the section [sync].
type Sync struct {
	// MinInterval is the least time between two exports of a zone, 0s to 1m. The
	// first change goes at once; what is published of it before the zone is read, and
	// that read, count as one.
	MinInterval time.Duration `mapstructure:"min_interval"`
	// EventCheckWait is how long after a change every secondary is asked by DNS
	// whether it serves it, 1s to 1h.
	EventCheckWait time.Duration `mapstructure:"event_check_wait"`
}

// Checks is the section [checks].
type Checks struct {
	// HealthInterval is the time between two health checks, which compare every
	// secondary with what was published, 1m to 24h.
	HealthInterval time.Duration `mapstructure:"health_interval"`
	// ScanInterval is the time between two looks at the primary's list of zones,
	// for changes past the proxy, 10s to 1h. Where listing takes long, a look waits,
	// or is left out, so that listing takes 1 % of the time at most.
	ScanInterval time.Duration `mapstructure:"scan_interval"`
	// SignatureInterval is the time between two checks of how long signatures
	// stay valid, 1m to 48h.
	SignatureInterval time.Duration `mapstructure:"signature_interval"`
	// ContentInterval is the time between two checks of content by digest, 10m to
	// 720h.
	ContentInterval time.Duration `mapstructure:"content_interval"`
	// ContentSample is how many percent of the zones such a check looks at, 1 to
	// 100: each day other ones, so that with 20 each zone has its turn within 5
	// days. One that is started by hand looks at all of them.
	ContentSample int `mapstructure:"content_sample"`
	// NSEC3Interval is the time between two enforcements of the NSEC3 policy,
	// where it is on, 1m to 24h.
	NSEC3Interval time.Duration `mapstructure:"nsec3_interval"`
}

// Zones is the section [zones].
type Zones struct {
	// Include names zones; each stands for itself and all zones below it. Empty:
	// every zone.
	Include []string `mapstructure:"include"`
	// Exclude names zones that are left out, each with all zones below it. Where a
	// longer name in `include` fits too, that one counts.
	Exclude []string `mapstructure:"exclude"`
	// Accounts are the accounts (a field of PowerDNS's zones) whose zones are
	// distributed. Empty: all.
	Accounts []string `mapstructure:"accounts"`
	// Kinds are the kinds of zones that are distributed: Native, Master (Primary),
	// Slave (Secondary). A zone whose kind is not among them is deleted from the
	// secondaries. Producer and Consumer cannot be: they are PowerDNS's own way of
	// distributing.
	Kinds []string `mapstructure:"kinds"`
}

// Guard is the section [guard].
type Guard struct {
	// MaxDelete is how many zones may be deleted within an hour that no API call
	// through the proxy deleted, where `max_delete_percent` does not allow more.
	// Never more than half of all zones, nor than 90,000.
	MaxDelete int `mapstructure:"max_delete"`
	// MaxDeletePercent is the same as a share of all zones, 0 to 50.
	MaxDeletePercent int `mapstructure:"max_delete_percent"`
	// MaxAPIDeletePerMinute is how many zones API calls through the proxy may
	// delete within a minute.
	MaxAPIDeletePerMinute int `mapstructure:"max_api_delete_per_minute"`
	// MaxShrinkPercent is how much of its records a zone may lose at once, 1 to
	// 100, unless through the proxy. DNSSEC's own records do not count.
	MaxShrinkPercent int `mapstructure:"max_shrink_percent"`
	// MinRecords is from how many records on a zone's shrinking counts.
	MinRecords int `mapstructure:"min_records"`
}

// Signatures is the section [signatures].
type Signatures struct {
	// MinRemaining is how long the signatures that a secondary serves must stay
	// valid, 1h to 167h. Below that the zone is exported and transferred again
	// although its serial has not changed. PowerDNS lets those that it makes
	// itself run down to 168h.
	MinRemaining time.Duration `mapstructure:"min_remaining"`
}

// NSEC3 is the section [nsec3].
type NSEC3 struct {
	// Enforce sets NSEC3 with the parameters `1 0 0 -` (RFC 9276) on zones that
	// PowerDNS signs with NSEC. Presigned zones, zones with other NSEC3 parameters,
	// and zones with keys too old for NSEC3 are left alone. The same on every
	// primary. Once it is off, the schedule `nsec3-policy` stays and its runs end as
	// `skipped`.
	Enforce bool `mapstructure:"enforce"`
}

// Default returns the configuration before anything is read.
func Default() *Config {
	return &Config{
		Host:      Host{ID: defaultID(), StateDir: "/var/lib/pdns-distribute"},
		Log:       Log{Level: "info", Format: "text"},
		Metrics:   Metrics{Listen: "127.0.0.1:9153"},
		Tracing:   Tracing{SamplePercent: 100},
		PowerDNS:  PowerDNS{APIURL: "http://127.0.0.1:8081", DNSAddress: "127.0.0.1:53"},
		NATS:      NATS{Replicas: 1},
		Temporal:  Temporal{Namespace: "default"},
		Events:    Events{SubjectAdd: "zone.add", SubjectModified: "zone.modified", SubjectDelete: "zone.delete"},
		Primary:   Primary{Proxy: true, Trigger: true, Worker: true, MaxLag: time.Minute},
		Proxy:     Proxy{Listen: ":8443"},
		Secondary: Secondary{TransferAddress: "127.0.0.1:5399"},
		Sync:      Sync{MinInterval: 50 * time.Millisecond, EventCheckWait: 20 * time.Second},
		Checks: Checks{
			HealthInterval: 15 * time.Minute, ScanInterval: time.Minute, SignatureInterval: 12 * time.Hour,
			ContentInterval: 24 * time.Hour, ContentSample: 20, NSEC3Interval: 15 * time.Minute,
		},
		Zones:      Zones{Kinds: []string{"Native", "Master"}},
		Guard:      Guard{MaxDelete: 10, MaxDeletePercent: 5, MaxAPIDeletePerMinute: 2000, MaxShrinkPercent: 50, MinRecords: 100},
		Signatures: Signatures{MinRemaining: 96 * time.Hour},
	}
}

// defaultID is the host's name as an ID. Dots become dashes, since two hosts may
// well share the first label of their names.
func defaultID() string {
	name, err := os.Hostname()
	if err != nil {
		return "" // reported as a missing host.id
	}
	return strings.ReplaceAll(strings.ToLower(name), ".", "-")
}
