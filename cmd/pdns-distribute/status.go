package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// statusWithin bounds one question.
	statusWithin = 2 * time.Second
	// pollWithin is how long ago a worker that runs may have asked Temporal for work:
	// each of its questions waits for a minute.
	pollWithin = 90 * time.Second
)

func statusCommand() *cobra.Command {
	var holds bool
	cmd := &cobra.Command{
		Use:   "status [ZONE]",
		Short: "Show what every secondary serves: reachable, serial, in sync or not, since when",
		Long: "Ask every secondary of the roster by DNS and compare with the newest published versions.\n" +
			"Without ZONE all zones are asked for and counted. Exit code 1 when something is not in sync.",
		Args: cobra.MatchAll(cobra.MaximumNArgs(1), zoneNames),
		RunE: withClient(func(ctx context.Context, c *connections, out io.Writer, args []string) error {
			if holds {
				return listHolds(ctx, c, out)
			}
			secondaries, err := c.roster.List(ctx)
			if err != nil {
				return err
			}
			if len(secondaries) == 0 {
				return fmt.Errorf("no secondary has ever registered: nothing is in sync")
			}
			s := status{connections: c, out: out, secondaries: secondaries}
			if s.reachable, err = (presence{consul: c.consul}).Reachable(ctx); err != nil {
				fmt.Fprintln(errorOutput, "Consul cannot say who is reachable:", err)
				s.attended = s.attending(ctx)
			}
			if len(args) == 1 {
				return s.zone(ctx, args[0])
			}
			err = errors.Join(s.all(ctx), printHolds(ctx, c, out))
			s.lastCheck(ctx)
			return err
		}),
	}
	cmd.Flags().BoolVar(&holds, "holds", false, "list each change that the guard holds, and nothing else")
	return cmd
}

// status asks and prints.
type status struct {
	*connections
	out         io.Writer
	secondaries []pdns.Secondary
	// reachable is what Consul says, nil where it cannot; attended are then those
	// whose workers ask for work.
	reachable, attended map[string]bool
}

// zone prints one line a secondary.
func (s status) zone(ctx context.Context, name string) error {
	zone, err := pdns.CanonicalZone(name)
	if err != nil {
		return err
	}
	newest, _, err := s.versions.Newest(ctx, zone)
	if err != nil {
		return err
	}
	what := fmt.Sprintf("serial %d, %d records", newest.Serial, newest.Records)
	if newest.Deleted {
		what = "deleted"
	}
	fmt.Fprintf(s.out, "%s %s, version %d published by %s at %s\n", zone, what, newest.Version, newest.Publisher, stamp(newest.Time))
	applied := s.lastSync(ctx, zone)
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SECONDARY\tREACHABLE\tSERIAL\tSTATE\tSINCE\tNOTE")
	wrong := 0
	for _, secondary := range s.secondaries {
		state, serial, note := s.ask(ctx, newest, secondary)
		known, synced := applied[secondary.ID]
		if synced && (known.State == workflows.StateLagging || known.State == workflows.StatePaused) {
			// It may have caught up by a full compare, which the zone's sync does not hear of.
			if at := s.reconciledAt(ctx, secondary.ID, newest.Time); !at.IsZero() {
				known.State, known.AppliedAt = workflows.StateInSync, at
			}
		}
		since := newest.Time
		switch {
		case secondary.Paused:
			note = "paused"
		case s.unattended(secondary) && state != pdns.ServedSilent:
			wrong++
			state, note = pdns.ServedState(workflows.StateLagging), "its worker does not answer: nobody looks after what it serves"
		case state != pdns.ServedCurrent:
			wrong++
		case synced && known.State != workflows.StateInSync:
			// The serial alone proves nothing where its worker did not confirm.
			wrong++
			state, note = pdns.ServedState(known.State), known.Error
		case synced && !known.AppliedAt.IsZero():
			since = known.AppliedAt
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%s\t%s\t%s\n", secondary.ID, s.presence(secondary), serial, inSync(state), stamp(since), note)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.active() == 0 {
		return errNoneActive
	}
	if wrong > 0 {
		return fmt.Errorf("zone %s is not in sync on %d of %d secondaries", zone, wrong, len(s.secondaries))
	}
	return nil
}

// errNoneActive: where nobody is brought anything, nothing is in sync.
var errNoneActive = errors.New("no secondary is active, so that nothing is in sync")

// active counts the secondaries that are not paused.
func (s status) active() int {
	n := 0
	for _, secondary := range s.secondaries {
		if !secondary.Paused {
			n++
		}
	}
	return n
}

// unattended reports whether a secondary that should be looked after is not known to be: what
// its PowerDNS answers may be right today.
func (s status) unattended(secondary pdns.Secondary) bool {
	return !secondary.Paused && !s.reachable[secondary.ID] && !s.attended[secondary.ID]
}

// attending asks Temporal whose workers have asked it for work of late.
func (s status) attending(ctx context.Context) map[string]bool {
	attended := make(map[string]bool)
	for _, secondary := range s.secondaries {
		queue, err := s.temporal.DescribeTaskQueue(ctx, workflows.SecondaryHostQueue(secondary.ID), enumspb.TASK_QUEUE_TYPE_ACTIVITY)
		if err != nil {
			fmt.Fprintf(errorOutput, "Nor can Temporal say whether the worker of %s runs: %v\n", secondary.ID, err)
			continue
		}
		for _, poller := range queue.GetPollers() {
			if time.Since(poller.GetLastAccessTime().AsTime()) < pollWithin {
				attended[secondary.ID] = true
			}
		}
	}
	return attended
}

// lastSync returns what the zone's last sync knew of each secondary. Its history
// may be gone; then only what is served counts.
func (s status) lastSync(ctx context.Context, zone string) map[string]workflows.SecondaryStatus {
	var result workflows.SyncZoneResult
	value, err := s.temporal.QueryWorkflow(ctx, workflows.SyncZoneID(zone), "", workflows.QueryStatus)
	if err != nil || value.Get(&result) != nil {
		return nil
	}
	known := make(map[string]workflows.SecondaryStatus, len(result.Secondaries))
	for _, secondary := range result.Secondaries {
		known[secondary.ID] = secondary
	}
	return known
}

// reconciledAt returns when the last full compare of a secondary ended, the zero
// time where that began before after or did not bring every zone.
func (s status) reconciledAt(ctx context.Context, id string, after time.Time) time.Time {
	workflow := workflows.ReconcileSecondaryID(id)
	last, err := s.temporal.DescribeWorkflowExecution(ctx, workflow, "")
	if err != nil {
		return time.Time{}
	}
	info := last.GetWorkflowExecutionInfo()
	if info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED || info.GetStartTime().AsTime().Before(after) {
		return time.Time{}
	}
	var result workflows.ReconcileSecondaryResult
	err = s.temporal.GetWorkflow(ctx, workflow, info.GetExecution().GetRunId()).Get(ctx, &result)
	if err != nil || result.Outcome == workflows.OutcomeFailed || result.Found.Ahead > 0 {
		return time.Time{}
	}
	return info.GetCloseTime().AsTime()
}

// ask asks one secondary what it serves.
func (s status) ask(ctx context.Context, want pdns.Version, secondary pdns.Secondary) (pdns.ServedState, uint32, string) {
	ctx, cancel := context.WithTimeout(ctx, statusWithin)
	defer cancel()
	answer, err := s.dns.SOA(ctx, secondary.DNSAddress, want.Zone)
	if err != nil {
		return pdns.ServedSilent, 0, err.Error()
	}
	return answer.Compare(want), answer.Serial, ""
}

// lastCheck prints how the last health check ended, or how the running one stands.
func (s status) lastCheck(ctx context.Context) {
	var report workflows.CheckHealthResult
	value, err := s.temporal.QueryWorkflow(ctx, workflows.HealthCheck.ID, "", workflows.QueryStatus)
	var never *serviceerror.NotFound
	switch {
	case errors.As(err, &never):
		fmt.Fprintln(s.out, "\nlast health check: none yet")
		return
	case err == nil:
		err = value.Get(&report)
	}
	if err != nil {
		fmt.Fprintln(errorOutput, "the last health check cannot be read:", err)
		return
	}
	fmt.Fprintf(s.out, "\nlast health check: %s, begun at %s\n%s\n", report.Outcome, stamp(report.StartedAt), plain(report.Markdown()))
}

// presence is whether a secondary takes part.
func (s status) presence(secondary pdns.Secondary) string {
	switch {
	case secondary.Idle:
		return "drained"
	case secondary.Paused:
		return "paused"
	case s.reachable == nil:
		return "unknown"
	case s.reachable[secondary.ID]:
		return "yes"
	}
	return "no"
}

func inSync(state pdns.ServedState) string {
	if state == pdns.ServedCurrent {
		return "in sync"
	}
	return string(state)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
