package config_test

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

// TestDeployedFiles reads the configuration files of deploy/. Nothing may be wrong
// with them but that the files with certificates and secrets are not here.
func TestDeployedFiles(t *testing.T) {
	for file, role := range map[string]config.Role{
		"config/primary.toml":      config.RolePrimary,
		"config/secondary.toml":    config.RoleSecondary,
		"compose/primary.toml":     config.RolePrimary,
		"compose/secondary-1.toml": config.RoleSecondary,
		"compose/secondary-2.toml": config.RoleSecondary,
		"compose/operator.toml":    config.RoleClient,
	} {
		t.Run(file, func(t *testing.T) {
			overrides := map[string]string{"host.state_dir": t.TempDir()} // /var/lib is root's
			_, err := config.Load(filepath.Join("../../deploy", file), role, overrides)
			var faults config.Faults
			if !errors.As(err, &faults) {
				t.Fatalf("Load: %v, expected it to miss the files with secrets", err)
			}
			for _, fault := range faults {
				if !strings.HasPrefix(fault.Problem, "cannot read /etc/pdns-distribute/") && !strings.HasPrefix(fault.Problem, "cannot read /secrets/") {
					t.Error(fault)
				}
			}
		})
	}
}
