package main

import (
	"context"
	"fmt"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// statusAtOnce bounds the DNS questions in flight to one secondary. After as many in a row without an answer it is asked no more.
	statusAtOnce = 32
	// statusSecondaries is how many secondaries are asked at a time.
	statusSecondaries = 8
)

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
	found := make([]others, len(s.secondaries))
	s.eachSecondary(func(k int) { found[k] = s.notServed(ctx, versions, s.secondaries[k]) })
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

// eachSecondary asks several secondaries at a time, by their places.
func (s status) eachSecondary(ask func(k int)) {
	var group errgroup.Group
	group.SetLimit(statusSecondaries)
	for k := range s.secondaries {
		group.Go(func() error {
			ask(k)
			return nil
		})
	}
	_ = group.Wait() // none of them fails
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
	s.eachSecondary(func(k int) {
		for i, state := range found[k] {
			if !changed[i] || state == pdns.ServedSilent {
				continue
			}
			if state, _, _ = s.ask(ctx, versions[i], s.secondaries[k]); state == pdns.ServedCurrent {
				delete(found[k], i)
			} else {
				found[k][i] = state
			}
		}
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
