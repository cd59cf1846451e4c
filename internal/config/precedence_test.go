package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

// good is a file without faults for both roles.
func good(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("testdata/good-secondary.toml")
	if err != nil {
		t.Fatal(err)
	}
	inWorld(t)
	writeFile(t, "config.toml", string(text)+"\n[log]\nlevel = \"warn\"\n", 0o600)
	return "config.toml"
}

func TestDefaultsAndFile(t *testing.T) {
	conf, err := config.Load(good(t), config.RolePrimary, nil)
	if err != nil {
		t.Fatal(err)
	}
	if conf.Log.Level != "warn" || conf.Log.Format != "text" || conf.Sync.MinInterval != 50*time.Millisecond ||
		conf.Events.SubjectAdd != "zone.add" || !conf.Primary.Worker || conf.NATS.Replicas != 1 {
		t.Errorf("got %+v", conf)
	}
	if got := conf.PowerDNS.APIKey.Reveal(); got != "s3cret-api-key" {
		t.Errorf("API key is %q, expected it without the space around it", got)
	}
}

func TestEnvironmentOverFileAndFlagsOverBoth(t *testing.T) {
	path := good(t)
	t.Setenv("PDNS_DISTRIBUTE_LOG_LEVEL", "error")
	t.Setenv("PDNS_DISTRIBUTE_LOG_FORMAT", "json")
	t.Setenv("PDNS_DISTRIBUTE_NATS_URLS", "tls://a:4222, tls://b:4222")
	t.Setenv("PDNS_DISTRIBUTE_NATS_REPLICAS", "3")
	t.Setenv("PDNS_DISTRIBUTE_PRIMARY_PROXY", "false")
	t.Setenv("PDNS_DISTRIBUTE_SYNC_EVENT_CHECK_WAIT", "5s")
	t.Setenv("PDNS_DISTRIBUTE_METRICS_LISTEN", "")
	conf, err := config.Load(path, config.RolePrimary, map[string]string{"log.level": "debug", "sync.min_interval": "1s"})
	if err != nil {
		t.Fatal(err)
	}
	if conf.Log.Level != "debug" || conf.Sync.MinInterval != time.Second {
		t.Errorf("a flag does not win over environment and file: %+v %+v", conf.Log, conf.Sync)
	}
	if conf.Log.Format != "json" || conf.NATS.Replicas != 3 || conf.Primary.Proxy || conf.Metrics.Listen != "" ||
		conf.Sync.EventCheckWait != 5*time.Second || !slices.Equal(conf.NATS.URLs, []string{"tls://a:4222", "tls://b:4222"}) {
		t.Errorf("the environment does not win over the file: %+v", conf)
	}
}

func TestFaultsNameTheirOrigin(t *testing.T) {
	path := good(t)
	t.Setenv("PDNS_DISTRIBUTE_NATS_REPLICAS", "three")
	t.Setenv("PDNS_DISTRIBUTE_NATS_CAFILE", "x")
	t.Setenv("PDNS_DISTRIBUTE_PROXY_SERVICE_HOST", "10.0.0.1") // set by Kubernetes, not ours
	t.Setenv("PDNS_DISTRIBUTE_BIN", "/bin/true")               // a script's own
	_, err := config.Load(path, config.RolePrimary, map[string]string{"primary.worker": "maybe", "log.levle": "info"})
	want := []string{
		`PDNS_DISTRIBUTE_NATS_CAFILE: unknown key, did you mean nats.ca_file?`,
		`log.levle: unknown key, did you mean log.level? (from --set)`,
		`nats.replicas: is "three" (from PDNS_DISTRIBUTE_NATS_REPLICAS), expected a whole number`,
		`primary.worker: is "maybe" (from --set), expected true or false`,
	}
	if err == nil || !slices.Equal(strings.Split(err.Error(), "\n"), want) {
		t.Errorf("faults:\n%v\nwant:\n%s", err, strings.Join(want, "\n"))
	}
}

func TestMissingFile(t *testing.T) {
	_, err := config.Load("no-such-file.toml", config.RolePrimary, nil)
	want := "no-such-file.toml: cannot read no-such-file.toml (no such file or directory), expected the configuration file"
	if err == nil || err.Error() != want {
		t.Errorf("Load: %v, want %s", err, want)
	}
}

func TestWithoutRole(t *testing.T) {
	conf, err := config.Load(good(t), "", nil)
	if err != nil || conf.Role != config.RoleSecondary {
		t.Errorf("Load: %v, %v; a file with an advertised address is a secondary's", conf, err)
	}
	conf, err = config.Load("config.toml", "", map[string]string{"secondary.advertise_dns_address": ""})
	if err != nil || conf.Role != config.RolePrimary {
		t.Errorf("Load: %v, %v; a file without one is a primary's", conf, err)
	}
}

// TestSecretIsNeverShown prints a whole configuration in every way there is.
func TestSecretIsNeverShown(t *testing.T) {
	conf, err := config.Load(good(t), config.RolePrimary, nil)
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(conf)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{fmt.Sprintf("%v", conf), fmt.Sprintf("%+v", *conf), fmt.Sprintf("%#v", conf.PowerDNS),
		fmt.Sprint(conf.PowerDNS.APIKey.LogValue()), string(asJSON)} {
		if strings.Contains(text, "s3cret") || !strings.Contains(text, "[redacted]") {
			t.Errorf("shown: %s", text)
		}
	}
}
