package activities

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Roster lists the secondaries that every zone must reach.
type Roster interface {
	// List returns every entry; an error means unknown, never empty.
	List(ctx context.Context) ([]pdns.Secondary, error)
}

// Presence knows who is reachable now.
type Presence interface {
	// Reachable returns the IDs of the secondaries whose check passes.
	Reachable(ctx context.Context) (map[string]bool, error)
}

// presenceWithin bounds the question who is reachable: a Consul agent that hangs
// must not hold up a sync, which the roster alone can serve.
const presenceWithin = 300 * time.Millisecond

func askPresence(ctx context.Context, p Presence) (map[string]bool, error) {
	ctx, cancel := context.WithTimeout(ctx, presenceWithin)
	defer cancel()
	return p.Reachable(ctx)
}

// Directory finds the secondaries of a sync.
type Directory struct {
	Roster   Roster
	Presence Presence
	Starter  Starter
}

// Target is one secondary as a sync sees it.
type Target struct {
	ID         string `json:"id"`
	DNSAddress string `json:"dns_address"`
	// Reachable is what Consul says; true where Consul cannot be asked,
	// since then only trying tells.
	Reachable bool `json:"reachable"`
}

// DiscoverSecondariesInput is empty today.
type DiscoverSecondariesInput struct{}

// DiscoverSecondariesResult lists the targets of a sync, sorted by ID.
type DiscoverSecondariesResult struct {
	Targets []Target `json:"targets"`
	// Missing are the IDs of those that Consul finds reachable and the roster lacks:
	// they are about to join it.
	Missing []string `json:"missing,omitempty"`
	// Warning says what could not be asked.
	Warning string `json:"warning,omitempty"`
}

// DiscoverSecondaries returns the roster minus paused secondaries, and who of
// them is reachable. With Consul down the roster alone counts. It only reads.
// An empty roster is an empty list here; that it is no success is for the
// workflow to say.
func (d *Directory) DiscoverSecondaries(ctx context.Context, _ DiscoverSecondariesInput) (DiscoverSecondariesResult, error) {
	entries, err := d.Roster.List(ctx)
	if err != nil {
		return DiscoverSecondariesResult{}, classify(fmt.Errorf("discover secondaries: read the roster: %w", err))
	}
	var result DiscoverSecondariesResult
	reachable, err := askPresence(ctx, d.Presence)
	if err != nil {
		result.Warning = fmt.Sprintf("Consul cannot say who is reachable, all of the roster are tried: %v", err)
	}
	listed := make(map[string]bool, len(entries))
	for _, entry := range entries {
		listed[entry.ID] = true
		if entry.Paused {
			continue
		}
		result.Targets = append(result.Targets, Target{
			ID: entry.ID, DNSAddress: entry.DNSAddress, Reachable: err != nil || reachable[entry.ID],
		})
	}
	for id, answers := range reachable {
		if answers && !listed[id] {
			result.Missing = append(result.Missing, id)
		}
	}
	slices.Sort(result.Missing)
	slices.SortFunc(result.Targets, func(a, b Target) int { return strings.Compare(a.ID, b.ID) })
	return result, nil
}
