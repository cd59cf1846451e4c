package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// command carries out a command line and returns what it printed.
func command(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	before := errorOutput
	errorOutput = &stderr
	defer func() { errorOutput = before }()
	code = run(t.Context(), args, &stdout)
	return code, stdout.String(), stderr.String()
}

func TestExitCodes(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(broken, []byte("[nats]\nurls = [\"nats://127.0.0.1:4222\"]\n[log]\nlevle = \"info\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want []string // in standard output for code 0, else in standard error
	}{
		"version":          {[]string{"version"}, 0, []string{"pdns-distribute ", "go1."}},
		"help":             {[]string{"--help"}, 0, []string{"check-config", "primary", "secondary", "resync", "status", "version"}},
		"unknown command":  {[]string{"frobnicate"}, 2, []string{`unknown command "frobnicate"`, "pdns-distribute --help"}},
		"unknown flag":     {[]string{"primary", "--frob"}, 2, []string{"unknown flag: --frob", "pdns-distribute primary --help"}},
		"too many words":   {[]string{"check-config", "x"}, 2, []string{"pdns-distribute check-config --help"}},
		"resync nothing":   {[]string{"resync"}, 2, []string{"name zones, or give --all"}},
		"no zone name":     {[]string{"resync", "example.org", "a..b"}, 2, []string{`zone name "a..b": has an empty label`, "pdns-distribute resync --help"}},
		"status, no name":  {[]string{"status", "a..b"}, 2, []string{`zone name "a..b": has an empty label`}},
		"unknown role":     {[]string{"check-config", "--role", "boss"}, 2, []string{`--role: is "boss", expected primary, secondary or client`}},
		"set without =":    {[]string{"check-config", "--set", "log.level"}, 2, []string{`--set: is "log.level", expected section.key=value`}},
		"no file":          {[]string{"primary", "--config", "/no/such/file"}, 2, []string{"/no/such/file: cannot read"}},
		"faults":           {[]string{"check-config", "--config", broken}, 2, []string{"log.levle: unknown key", "\nnats.urls: begins with nats://", "\nconsul.address: missing"}},
		"faults, primary":  {[]string{"primary", "--config", broken}, 2, []string{"nats.urls: begins with nats://"}},
		"faults, status":   {[]string{"status", "--config", broken}, 2, []string{"nats.urls: begins with nats://"}},
		"faults, by flags": {[]string{"check-config", "--config", "", "--log-level", "loud", "--set", "nats.replicas=9"}, 2, []string{`log.level: is "loud"`, "nats.replicas: is 9"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := command(t, test.args...)
			if code != test.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, test.code, out, errOut)
			}
			text := out
			if test.code != 0 {
				text = errOut
			}
			for _, want := range test.want {
				if !strings.Contains(text, want) {
					t.Errorf("printed %q, lacks %q", text, want)
				}
			}
		})
	}
}

func TestCheckConfigWithoutFaults(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"token": "t\n", "ca.pem": testCA} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	t.Setenv("PDNS_DISTRIBUTE_NATS_URLS", "tls://127.0.0.1:4222")
	t.Setenv("PDNS_DISTRIBUTE_NATS_CA_FILE", "ca.pem")
	t.Setenv("PDNS_DISTRIBUTE_NATS_USER", "primary")
	t.Setenv("PDNS_DISTRIBUTE_NATS_PASSWORD_FILE", "token")
	t.Setenv("PDNS_DISTRIBUTE_CONSUL_ADDRESS", "https://127.0.0.1:8501")
	t.Setenv("PDNS_DISTRIBUTE_CONSUL_CA_FILE", "ca.pem")
	t.Setenv("PDNS_DISTRIBUTE_CONSUL_TOKEN_FILE", "token")
	t.Setenv("PDNS_DISTRIBUTE_TEMPORAL_ADDRESS", "127.0.0.1:7233")
	t.Setenv("PDNS_DISTRIBUTE_TEMPORAL_API_KEY_FILE", "token")
	t.Setenv("PDNS_DISTRIBUTE_POWERDNS_API_KEY_FILE", "token")
	code, out, errOut := command(t, "check-config", "--config", "", "--set", "host.id=primary-1", "--set", "host.state_dir=state")
	if code != 0 || out != "no faults for the role primary\n" || errOut != "" {
		t.Errorf("exit code %d, printed %q and %q", code, out, errOut)
	}
}

// testCA is a certificate that nobody has the key of.
const testCA = `-----BEGIN CERTIFICATE-----
MIIBdTCCARugAwIBAgIUalcLIP93P9BIwdvPnvIMbzyvmegwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAgFw0yNjExMjMwMTM5MzRaGA8yMTI2MTAzMDAxMzkz
NFowDzENMAsGA1UEAwwEdGVzdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMz3
H9zQCkV1k6tu/b0NiYKAff6US7C8yaAJwm8StYnV1hmkoJBwI6OPHDDhXTC7yfLs
XlMlQwMH/V+gLbwpV6ejUzBRMB0GA1UdDgQWBBQEBr8QSMopTArzWIktTBuUmdMo
EzAfBgNVHSMEGDAWgBQEBr8QSMopTArzWIktTBuUmdMoEzAPBgNVHRMBAf8EBTAD
AQH/MAoGCCqGSM49BAMCA0gAMEUCIQCPbpNFD3l/tqY2o+wVmG3Q3jgGr3BRmToG
S4tEkrgRxQIgBtZV5g/Yt+V6OjEZKdxnPRAd2IWPswv4wOWrUcIuAD0=
-----END CERTIFICATE-----
`
