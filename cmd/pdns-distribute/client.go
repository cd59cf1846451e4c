package main

import (
	"cmp"
	"context"
	"io"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/internal/config"
	"github.com/pdns-distribute/pdns-distribute/internal/telemetry"
)

// clientLogLevel is how much a command that asks and ends tells beside its
// answer, unless --log-level says otherwise.
const clientLogLevel = "error"

// withClient runs a command that asks the system and ends: do gets the
// connections, and prints its answer to out.
func withClient(do func(ctx context.Context, c *connections, out io.Writer, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		conf, err := loadConfig(cmd, config.RoleClient)
		if err != nil {
			return err
		}
		level, err := cmd.Flags().GetString(flagLogLevel)
		if err != nil {
			return err
		}
		logger, err := telemetry.NewLogger(errorOutput, cmp.Or(level, clientLogLevel), conf.Log.Format)
		if err != nil {
			return err
		}
		ctx := cmd.Context()
		c, err := connect(ctx, conf, logger)
		if err != nil {
			return err
		}
		defer c.close()
		return c.withReason(do(ctx, c, cmd.OutOrStdout(), args))
	}
}
