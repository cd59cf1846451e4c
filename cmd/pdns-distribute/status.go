package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

const (
	// statusAtOnce bounds the DNS questions in flight to one secondary. After as many in a row without an answer it is asked no more.
	statusAtOnce = 32
	// statusSecondaries is how many secondaries are asked at a time.
	statusSecondaries = 8
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

// tally counts what one secondary serves of all zones.
type tally struct {
	counts map[pdns.ServedState]int
	// since is when the oldest version that it does not serve was published.
	since time.Time
	// example is a zone that it does not serve.
	example string
}

// all prints one line a secondary, over all published zones.
func (s status) all(ctx context.Context) error {
	var versions []pdns.Version
	for version, err := range s.versions.All(ctx) {
		if err != nil {
			return fmt.Errorf("list the published zones: %w", err)
		}
		versions = append(versions, version)
	}
	found := s.eachSecondary(func(_ int, secondary pdns.Secondary) others { return s.notServed(ctx, versions, secondary) })
	if err := s.askAgain(ctx, versions, found); err != nil {
		return err
	}
	zones := 0 // that are to be served
	for _, version := range versions {
		if !version.Deleted {
			zones++
		}
	}
	table := tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SECONDARY\tREACHABLE\tZONES\tIN SYNC\tLAGGING\tOUTDATED\tMISSING\tLEFT OVER\tSILENT\tNOT IN SYNC SINCE\tFOR EXAMPLE")
	wrong := 0
	for i, secondary := range s.secondaries {
		t, since := found[i].tally(versions, zones), "-"
		if !t.since.IsZero() {
			since = stamp(t.since)
		}
		inSync, lagging := t.counts[pdns.ServedCurrent], 0
		if s.unattended(secondary) {
			inSync, lagging = 0, inSync
		}
		if !secondary.Paused && (!t.since.IsZero() || s.unattended(secondary)) {
			wrong++
		}
		fmt.Fprintf(table, "%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t%s\n", secondary.ID, s.presence(secondary), zones,
			inSync, lagging, t.counts[pdns.ServedOutdated], t.counts[pdns.ServedMissing],
			t.counts[pdns.ServedLeftOver], t.counts[pdns.ServedSilent], since, t.example)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	if s.active() == 0 {
		return errNoneActive
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d secondaries are not in sync", wrong, len(s.secondaries))
	}
	return nil
}

// others are the zones that one secondary does not serve as published, by their places among the versions.
type others map[int]pdns.ServedState

// eachSecondary asks several secondaries at a time, and returns what they said in their order.
func (s status) eachSecondary(ask func(i int, secondary pdns.Secondary) others) []others {
	all := make([]others, len(s.secondaries))
	var group errgroup.Group
	group.SetLimit(statusSecondaries)
	for i, secondary := range s.secondaries {
		group.Go(func() error {
			all[i] = ask(i, secondary)
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	return all
}

// notServed asks one secondary for all of these zones.
func (s status) notServed(ctx context.Context, versions []pdns.Version, secondary pdns.Secondary) others {
	found := make(others)
	var mu sync.Mutex
	silent := 0 // in a row
	var group errgroup.Group
	group.SetLimit(statusAtOnce)
	for i, version := range versions {
		group.Go(func() error {
			mu.Lock()
			state, gone := pdns.ServedSilent, silent >= statusAtOnce
			mu.Unlock()
			if !gone {
				state, _, _ = s.ask(ctx, version, secondary)
			}
			mu.Lock()
			defer mu.Unlock()
			if state != pdns.ServedCurrent {
				found[i] = state
			}
			if silent++; state != pdns.ServedSilent {
				silent = 0
			}
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	return found
}

// askAgain asks once more for the zones that changed since they were listed, and were found wrong on a secondary. versions
// and found are as they are now then.
func (s status) askAgain(ctx context.Context, versions []pdns.Version, found []others) error {
	places := make(map[string]int)
	for _, one := range found {
		for i, state := range one {
			if state != pdns.ServedSilent {
				places[versions[i].Zone] = i
			}
		}
	}
	if len(places) == 0 {
		return nil
	}
	changed := make(map[int]bool)
	for version, err := range s.versions.All(ctx) {
		if err != nil {
			return fmt.Errorf("list the published zones: %w", err)
		}
		if i, wrong := places[version.Zone]; wrong && version.Version > versions[i].Version {
			versions[i], changed[i] = version, true
		}
	}
	s.eachSecondary(func(k int, secondary pdns.Secondary) others {
		for i, state := range found[k] {
			if !changed[i] || state == pdns.ServedSilent {
				continue
			}
			if state, _, _ = s.ask(ctx, versions[i], secondary); state == pdns.ServedCurrent {
				delete(found[k], i)
			} else {
				found[k][i] = state
			}
		}
		return nil
	})
	return nil
}

// tally counts what one secondary serves, of so many zones that are to be served.
func (o others) tally(versions []pdns.Version, zones int) tally {
	t := tally{counts: map[pdns.ServedState]int{pdns.ServedCurrent: zones}}
	for i, state := range o {
		if !versions[i].Deleted {
			t.counts[pdns.ServedCurrent]--
		}
		if !versions[i].Deleted || state == pdns.ServedLeftOver { // a deleted zone counts where it is served
			t.counts[state]++
		}
		if t.since.IsZero() || versions[i].Time.Before(t.since) {
			t.since, t.example = versions[i].Time, versions[i].Zone
		}
	}
	return t
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
