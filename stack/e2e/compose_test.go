package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestComposeFile has docker-compose read docker-compose.yml, and looks at what came out: the parts of the system are
// there, what is mounted exists, and nothing is open to the network but by a port of this host's loopback address.
func TestComposeFile(t *testing.T) {
	parallel(t)
	compose := filepath.Join(env["STACK_TOOLS"], "docker-compose")
	cmd := exec.CommandContext(t.Context(), compose, "--file", "../../docker-compose.yml", "--profile", "*", "config", "--format", "json")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker-compose config: %v\n%s", err, stderr.String())
	}
	if stderr.Len() > 0 {
		t.Errorf("docker-compose config warns: %s", stderr.String())
	}
	var project struct {
		Services map[string]struct {
			Environment map[string]string `json:"environment"`
			Ports       []struct {
				HostIP string `json:"host_ip"`
				Target int    `json:"target"`
			} `json:"ports"`
			Volumes []struct{ Type, Source string } `json:"volumes"`
		} `json:"services"`
	}
	if err := json.Unmarshal(out, &project); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"pdns-primary", "pdns-secondary-1", "pdns-secondary-2", "nats", "consul", "temporal", "temporal-ui", "postgres",
		"primary", "secondary-1", "secondary-2",
	} {
		if _, ok := project.Services[name]; !ok {
			t.Errorf("there is no service %s", name)
		}
	}
	for name, service := range project.Services {
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				t.Errorf("%s publishes port %d on %q, not on loopback", name, port.Target, port.HostIP)
			}
		}
		for _, volume := range service.Volumes {
			if volume.Type != "bind" {
				continue
			}
			if _, err := os.Stat(volume.Source); err != nil {
				t.Errorf("%s mounts what is not there: %v", name, err)
			}
		}
		for variable := range service.Environment {
			if upper := strings.ToUpper(variable); !strings.HasSuffix(upper, "_FILE") &&
				(strings.Contains(upper, "PASSWORD") || strings.Contains(upper, "_PWD") || strings.Contains(upper, "SECRET")) {
				t.Errorf("%s has a secret in its environment: %s", name, variable)
			}
		}
	}
}
