package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

// The flags of every command.
const (
	flagConfig   = "config"
	flagLogLevel = "log-level"
	flagSet      = "set"
)

func addConfigFlags(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.String(flagConfig, cmp.Or(os.Getenv("PDNS_DISTRIBUTE_CONFIG"), config.DefaultPath), "the configuration file; empty for none")
	flags.String(flagLogLevel, "", "debug, info, warn or error; over log.level")
	flags.StringArray(flagSet, nil, "section.key=value, over file and environment; may be repeated")
}

// loadConfig reads the configuration for a role, as the flags say; see
// [config.Load].
func loadConfig(cmd *cobra.Command, role config.Role) (*config.Config, error) {
	path, pathErr := cmd.Flags().GetString(flagConfig)
	level, levelErr := cmd.Flags().GetString(flagLogLevel)
	settings, setErr := cmd.Flags().GetStringArray(flagSet)
	if err := errors.Join(pathErr, levelErr, setErr); err != nil {
		return nil, err
	}
	overrides := map[string]string{}
	for _, setting := range settings {
		key, value, ok := strings.Cut(setting, "=")
		if !ok {
			return nil, config.Faults{{Key: "--set", Problem: fmt.Sprintf("is %q, expected section.key=value", setting)}}
		}
		overrides[key] = value
	}
	if level != "" {
		overrides["log.level"] = level
	}
	return config.Load(path, role, overrides)
}
