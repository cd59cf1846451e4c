package main

import (
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
)

func checkConfigCommand() *cobra.Command {
	var role string
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Report every fault of the configuration, each by its key",
		Long: "Report every fault of the configuration, one a line, each by its key. Exit code 2 when there is one.\n" +
			"Files that it names are read, servers are not asked. Run it as the user that the service runs as.",
		Args: cobra.NoArgs,
	}
	cmd.Flags().StringVar(&role, "role", "", "primary, secondary or client (by default what the file is for)")
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if !slices.Contains([]config.Role{"", config.RolePrimary, config.RoleSecondary, config.RoleClient}, config.Role(role)) {
			return config.Faults{{Key: "--role", Problem: fmt.Sprintf("is %q, expected primary, secondary or client", role)}}
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		conf, err := loadConfig(cmd, config.Role(role))
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.OutOrStdout(), "no faults for the role %s\n", conf.Role)
		return nil
	}
	return cmd
}
