package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pdns-distribute/pdns-distribute/internal/guard"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// decideWithin is how long a command waits until what it decided is done.
	decideWithin = 2 * time.Minute
	// decideEvery paces its questions.
	decideEvery = 300 * time.Millisecond
	// zonesShown is how many zones of a hold are named.
	zonesShown = 20
)

func approveCommand() *cobra.Command {
	return decisionCommand("approve", pdns.Approved,
		"Have what the guard holds published, and wait until it is",
		"Have changes that the guard holds published: HOLD is \"deletes\" or \"shrink/ZONE\", as `pdns-distribute status` lists them.")
}

func rejectCommand() *cobra.Command {
	return decisionCommand("reject", pdns.Rejected,
		"Have what the guard holds stay as it was published",
		"Have zones stay as they were published although the primary asks for something else: HOLD is \"deletes\" or \"shrink/ZONE\", as\n"+
			"`pdns-distribute status` lists them. Restore them on the primary; what is rejected can still be approved.")
}

func decisionCommand(name string, decision pdns.Decision, short, long string) *cobra.Command {
	var digest string
	cmd := &cobra.Command{
		Use: name + " HOLD", Short: short,
		Long: long + "\nThe decision is about exactly the changes that are held when the command begins, or that --digest stands for.",
		Args: func(cmd *cobra.Command, args []string) error {
			if err := cobra.ExactArgs(1)(cmd, args); err != nil {
				return err
			}
			_, err := pdns.HoldOf(args[0])
			return err
		},
		RunE: withClient(func(ctx context.Context, c *connections, out io.Writer, args []string) error {
			hold, err := pdns.HoldOf(args[0])
			if err != nil {
				return err
			}
			d := decider{connections: c, store: guard.New(c.jetStream), out: out, hold: hold, decision: decision}
			return d.run(ctx, digest)
		}),
	}
	cmd.Flags().StringVar(&digest, "digest", "", "decide only if what is held is what this digest stands for")
	return cmd
}

// decider carries out one decision and waits for its end.
type decider struct {
	*connections
	store    *guard.Store
	out      io.Writer
	hold     string
	decision pdns.Decision
}

func (d decider) run(ctx context.Context, digest string) error {
	changes, err := d.held(ctx)
	if err != nil {
		return err
	}
	set := pdns.Deciding(changes, digest)
	switch {
	case len(changes) == 0:
		return fmt.Errorf("nothing is held as %s; `pdns-distribute status` lists what is", d.hold)
	case len(set) == 0:
		return fmt.Errorf("what is held as %s is not what digest %s stands for; `pdns-distribute status` shows what is held now", d.hold, digest)
	}
	printHold(d.out, d.hold, set)
	digest = pdns.HoldDigest(set)
	if err := d.dispatcher.DecideHold(ctx, d.hold, d.decision, digest); err != nil {
		return err
	}
	if err := d.wait(ctx, set, digest); err != nil {
		return err
	}
	fmt.Fprintf(d.out, "%s %s: %d changes\n", d.decision, d.hold, len(set))
	return nil
}

// held lists the changes of the hold.
func (d decider) held(ctx context.Context) ([]pdns.HeldChange, error) {
	all, err := d.store.All(ctx)
	return slices.DeleteFunc(all, func(h pdns.HeldChange) bool { return h.Hold() != d.hold }), err
}

// wait returns when every change of set is rejected, or published after it was
// approved.
func (d decider) wait(ctx context.Context, set []pdns.HeldChange, digest string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, decideWithin,
		fmt.Errorf("after %s not all is done; `pdns-distribute status` shows what is still held", decideWithin))
	defer cancel()
	for {
		changes, err := d.held(ctx)
		if err != nil {
			return errors.Join(err, context.Cause(ctx))
		}
		if d.done(set, changes) {
			return nil
		}
		if err := d.refused(ctx, digest); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(decideEvery):
		}
	}
}

func (d decider) done(set, changes []pdns.HeldChange) bool {
	return !slices.ContainsFunc(changes, func(h pdns.HeldChange) bool {
		return (d.decision == pdns.Approved || h.Decision != pdns.Rejected) && slices.ContainsFunc(set, h.Asks)
	})
}

// refused returns what the hold's workflow says against the decision. It may not
// have come to it yet.
func (d decider) refused(ctx context.Context, digest string) error {
	var result workflows.HoldChangeResult
	value, err := d.temporal.QueryWorkflow(ctx, workflows.HoldChangeID(d.hold), "", workflows.QueryStatus)
	if err != nil || value.Get(&result) != nil || result.Decision == nil || result.Decision.Digest != digest || result.Decision.Error == "" {
		return nil //nolint:nilerr // the wait goes on, and ends by itself
	}
	return errors.New(result.Decision.Error)
}

// printHold prints what a hold is made of.
func printHold(out io.Writer, hold string, set []pdns.HeldChange) {
	fmt.Fprintf(out, "%s: %d held since %s, digest %s\n  %s\n", hold, len(set), stamp(set[0].Since), pdns.HoldDigest(set), set[0].Reason)
	if hold != pdns.DeletesHold {
		return
	}
	names := make([]string, 0, zonesShown)
	for _, h := range set[:min(len(set), zonesShown)] {
		names = append(names, h.Zone)
	}
	more := ""
	if n := len(set) - len(names); n > 0 {
		more = fmt.Sprintf(" and %d more", n)
	}
	fmt.Fprintf(out, "  %s%s\n", strings.Join(names, " "), more)
}

// printHolds prints all that is held, for `status`.
func printHolds(ctx context.Context, c *connections, out io.Writer) error {
	all, err := guard.New(c.jetStream).All(ctx)
	if err != nil {
		return err
	}
	holds := make(map[string][]pdns.HeldChange)
	for _, h := range all {
		holds[h.Hold()] = append(holds[h.Hold()], h)
	}
	names := make([]string, 0, len(holds))
	for name := range holds {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		set := pdns.Deciding(holds[name], "")
		if len(set) == 0 {
			fmt.Fprintf(out, "held %s: %d approved and on their way\n", name, len(holds[name]))
			continue
		}
		fmt.Fprint(out, "held ")
		printHold(out, name, set)
		if set[0].Decision == pdns.Rejected {
			fmt.Fprintln(out, "  rejected: stays as it was published until the primary holds it again")
		} else {
			fmt.Fprintf(out, "  decide with `pdns-distribute approve %s` or `pdns-distribute reject %[1]s`\n", name)
		}
	}
	return nil
}

// listHolds prints a line for each change that is held, however many: its hold, the
// zone, since when, and what was decided.
func listHolds(ctx context.Context, c *connections, out io.Writer) error {
	all, err := guard.New(c.jetStream).All(ctx)
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b pdns.HeldChange) int {
		return cmp.Or(cmp.Compare(a.Hold(), b.Hold()), cmp.Compare(a.Zone, b.Zone))
	})
	for _, h := range all {
		fmt.Fprintln(out, h.Hold(), h.Zone, stamp(h.Since), cmp.Or(string(h.Decision), "undecided"))
	}
	return nil
}
