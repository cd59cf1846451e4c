package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/internal/roster"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// drainWithin is how long drain waits, by default, for what is under way.
	drainWithin = 5 * time.Minute
	// lifecycleEvery paces the questions of a command that waits.
	lifecycleEvery = 300 * time.Millisecond
	// goneWithin is how long a secondary that Consul has, but calls critical, may take to show that its worker runs all the same: only its
	// PowerDNS may not answer. A worker looks after its entry of the roster every joinEvery.
	goneWithin = joinEvery + 5*time.Second
	// resumeWithin is how long a secondary's worker may take to hear that it is
	// resumed.
	resumeWithin = 30 * time.Second
)

func pauseCommand() *cobra.Command {
	return lifecycleCommand("pause", "Have a secondary get nothing until it is resumed",
		"Have a secondary get nothing until it is resumed. What is under way there is ended; `drain` waits for that.\n"+
			"It goes on answering what it has.", pause)
}

func resumeCommand() *cobra.Command {
	return lifecycleCommand("resume", "End a pause: compare the secondary in full, and bring what it missed",
		"End the pause of a secondary, have it compared in full, and wait until it has what it missed.\nExit code 1 when it is not in sync then.", resume)
}

func drainCommand() *cobra.Command {
	within := drainWithin
	cmd := lifecycleCommand("drain", "Pause a secondary and wait until nothing is under way there",
		"Pause a secondary and wait until nothing is under way there, so that it can be worked on.",
		func(ctx context.Context, c *connections, out io.Writer, s pdns.Secondary) error {
			return drain(ctx, c, out, s, within)
		})
	cmd.Flags().DurationVar(&within, "within", drainWithin, "how long to wait")
	return cmd
}

func forgetCommand() *cobra.Command {
	return lifecycleCommand("forget", "Take a secondary that is gone for good off the roster",
		"Take a secondary that is gone for good off the roster: until then it counts as lagging, and nothing is in sync without it.\n"+
			"Its worker must be stopped; one that runs would join again.", forget)
}

// lifecycleCommand is a command about one secondary of the roster.
func lifecycleCommand(name, short, long string, do func(ctx context.Context, c *connections, out io.Writer, s pdns.Secondary) error) *cobra.Command {
	return &cobra.Command{
		Use: name + " ID", Short: short, Long: long, Args: cobra.ExactArgs(1),
		RunE: withClient(func(ctx context.Context, c *connections, out io.Writer, args []string) error {
			s, err := c.roster.Get(ctx, args[0])
			if err != nil {
				return fmt.Errorf("%w; `pdns-distribute status` lists the secondaries", err)
			}
			return do(ctx, c, out, s)
		}),
	}
}

func pause(ctx context.Context, c *connections, out io.Writer, s pdns.Secondary) error {
	if err := c.roster.Pause(ctx, s.ID, true); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is paused: it gets nothing until `pdns-distribute resume %[1]s`\n", s.ID)
	return nil
}

func drain(ctx context.Context, c *connections, out io.Writer, s pdns.Secondary, within time.Duration) error {
	if err := pause(ctx, c, out, s); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("after %s something is still under way on %s, which stays paused; wait on with `pdns-distribute drain %[2]s`", within, s.ID))
	defer cancel()
	for began := time.Now(); ; {
		now, err := c.roster.Get(ctx, s.ID)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case now.Idle:
			fmt.Fprintf(out, "%s is drained: nothing is under way there\n", s.ID)
			return nil
		}
		reachable, err := (presence{consul: c.consul}).Reachable(ctx)
		passing, registered := reachable[s.ID]
		if err == nil && !passing && (!registered || time.Since(began) > goneWithin) {
			fmt.Fprintf(out, "%s is not reachable: its worker has nothing under way, unless it is cut off\n", s.ID)
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(lifecycleEvery):
		}
	}
}

func resume(ctx context.Context, c *connections, out io.Writer, s pdns.Secondary) error {
	if err := c.roster.Pause(ctx, s.ID, false); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is resumed\n", s.ID)
	in := workflows.ReconcileSecondaryInput{Secondary: s.ID, Trigger: workflows.TriggerManual, Reason: "resumed"}
	for deadline := time.Now().Add(resumeWithin); ; {
		result, err := reconcile(ctx, c, in)
		switch {
		case err != nil:
			return err
		case result.Outcome != workflows.OutcomeSkipped || time.Now().After(deadline):
			return reportReconcile(out, result)
		}
		select { // its worker has not heard of it yet
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lifecycleEvery):
		}
	}
}

func forget(ctx context.Context, c *connections, out io.Writer, s pdns.Secondary) error {
	reachable, err := (presence{consul: c.consul}).Reachable(ctx)
	if err != nil {
		return fmt.Errorf("whether %s still runs is unknown, so it is not forgotten: %w", s.ID, err)
	}
	passing, registered := reachable[s.ID]
	if passing {
		return runsStill(s.ID)
	}
	if err := c.roster.Remove(ctx, s.ID); err != nil {
		return err
	}
	if registered {
		fmt.Fprintf(errorOutput, "%s did not leave Consul; whether its worker joins again shows within %s\n", s.ID, goneWithin)
		switch joins, err := joinsAgain(ctx, c, s.ID); {
		case err != nil:
			return err
		case joins:
			return runsStill(s.ID)
		}
	}
	fmt.Fprintf(out, "%s is off the roster; it joins again when its worker is started\n", s.ID)
	return nil
}

func runsStill(id string) error {
	return errors.New(id + " still runs and would join again: stop its worker first, and wait some seconds; to have it get nothing, use pause")
}

// joinsAgain says whether a secondary that was taken off the roster is on it again within goneWithin.
func joinsAgain(ctx context.Context, c *connections, id string) (bool, error) {
	for until := time.Now().Add(goneWithin); time.Now().Before(until); {
		if _, err := c.roster.Get(ctx, id); !errors.Is(err, roster.ErrUnknown) {
			return err == nil, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(lifecycleEvery):
		}
	}
	return false, nil
}
