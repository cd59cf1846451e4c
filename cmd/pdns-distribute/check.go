package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/pdns-distribute/pdns-distribute/workflows"
)

func checkCommand() *cobra.Command {
	in := workflows.CheckInput{Trigger: workflows.TriggerManual, Reason: "asked for by hand"}
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Compare every secondary with what was published, repair, and print the report",
		Long: "Run the health check, wait for it and print its report. One runs at a time: where one is at work, this joins it.\n" +
			"Exit code 1 when something is not in sync afterwards.",
		Args: cobra.NoArgs,
		RunE: withClient(func(ctx context.Context, c *connections, out io.Writer, _ []string) error {
			return check(ctx, c, out, in)
		}),
	}
	cmd.Flags().BoolVar(&in.Content, "content", false, "compare the content of all zones too, not only serials")
	cmd.Flags().BoolVar(&in.Signatures, "signatures", false, "check too how long signatures stay valid")
	return cmd
}

func check(ctx context.Context, c *connections, out io.Writer, in workflows.CheckInput) error {
	run, err := c.dispatcher.Check(ctx, workflows.HealthCheck, in)
	if err != nil {
		return err
	}
	fmt.Fprintf(errorOutput, "run %s of workflow %s serves this\n", run, workflows.HealthCheck.ID)
	result, err := healthChecked(ctx, c.temporal, run)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, plain(result.Markdown()))
	if result.Outcome != workflows.OutcomeInSync {
		return fmt.Errorf("health check: %s", result.Outcome)
	}
	return nil
}

// healthChecked waits for the report of a run of the health check.
func healthChecked(ctx context.Context, temporal client.Client, run string) (workflows.CheckHealthResult, error) {
	var result workflows.CheckHealthResult
	err := temporal.GetWorkflow(ctx, workflows.HealthCheck.ID, run).Get(ctx, &result)
	if err != nil {
		err = fmt.Errorf("health check: %w", err)
	}
	return result, err
}

// plain is a report for a terminal.
func plain(markdown string) string {
	return strings.ReplaceAll(strings.ReplaceAll(markdown, "**", ""), "\n\n", "\n")
}
