package activities

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// compareAtOnce bounds the zones that are compared at the same time: PowerDNS
// has the public to answer.
const compareAtOnce = 4

// CompareInput asks for a comparison with a list.
type CompareInput struct {
	List  string              `json:"list"`
	Rules pdns.SignatureRules `json:"rules,omitzero"`
	// Expires is the earliest end of signatures in the parts before; with the
	// Last one, the earliest of all becomes a metric.
	Expires time.Time `json:"expires,omitzero"`
	Last    bool      `json:"last,omitempty"`
}

// CompareResult says how a secondary stands to a list.
type CompareResult struct {
	// States counts the zones by state.
	States map[string]int `json:"states"`
	// Faults counts those of them that are wrong.
	Faults map[string]int `json:"faults,omitempty"`
	// Wrong lists the zones that need a sync, sorted; Reason is what is wrong
	// with one of them.
	Wrong  []string `json:"wrong,omitempty"`
	Reason string   `json:"reason,omitempty"`
	// Expires is the earliest end of the signatures seen, in parts before too.
	Expires time.Time `json:"expires,omitzero"`
}

// States of zones that differ from a list, and are not at fault; the others are
// each check's own.
const (
	// ComparedChanging: a newer version was published since the list was made,
	// and its own sync is under way.
	ComparedChanging = "changing"
	// ComparedForeign: the zone of that name is not ours.
	ComparedForeign = "foreign"
	// ComparedOutdated: it has not applied the listed version.
	ComparedOutdated = "outdated"
)

// compared is how one zone stands to its line in the list.
type compared struct {
	zone    string
	version int64
	state   string
	wrong   bool
	reason  string
	expires time.Time
}

// comparison gathers what many zones' comparisons found.
type comparison struct {
	mu sync.Mutex
	CompareResult
}

func newComparison() *comparison {
	return &comparison{CompareResult: CompareResult{States: make(map[string]int), Faults: make(map[string]int)}}
}

func (c *comparison) note(one compared) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.States[one.state]++
	c.Expires = pdns.FirstEnd(c.Expires, one.expires)
	if !one.wrong {
		return
	}
	c.Faults[one.state]++
	c.Wrong = append(c.Wrong, one.zone)
	if c.Reason == "" {
		c.Reason = one.reason
	}
}

// compareEach compares each line of a list, a few at a time.
func compareEach[L any](ctx context.Context, s *Secondary, lines []L, in CompareInput, compare func(context.Context, L, CompareInput) (compared, error)) (CompareResult, error) {
	var done atomic.Int64
	defer beat(ctx, func() any { return batchProgress{done.Load(), len(lines)} })()
	found := newComparison()
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(compareAtOnce)
	for _, line := range lines {
		group.Go(func() error {
			one, err := compare(ctx, line, in)
			if err == nil {
				one, err = s.settle(ctx, one)
			}
			if err != nil {
				return err
			}
			found.note(one)
			done.Add(1)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return CompareResult{}, err
	}
	slices.Sort(found.Wrong)
	return found.CompareResult, nil
}

// settle finds out whether a difference is this secondary's fault, and takes a
// zone that looks right but has not applied the version for wrong.
func (s *Secondary) settle(ctx context.Context, one compared) (compared, error) {
	applied, _, err := s.Applied.Get(one.zone)
	if err != nil {
		return compared{}, err
	}
	if !one.wrong && applied.Version >= one.version && !applied.Distrusted {
		return one, nil
	}
	newest, _, err := s.Versions.Fetch(ctx, one.zone)
	if err != nil && !errors.Is(err, pdns.ErrNoVersion) {
		return compared{}, fmt.Errorf("ask NATS for the newest version: %w", err)
	}
	if newest.Version != one.version {
		one.state, one.wrong = ComparedChanging, false
		return one, nil
	}
	held, err := s.PowerDNS.Zone(ctx, one.zone)
	switch {
	case errors.Is(err, api.ErrNotFound):
	case err != nil:
		return compared{}, fmt.Errorf("ask the local PowerDNS for the zone: %w", err)
	case !held.OwnedBy(pdns.Account, s.Master):
		one.state, one.wrong = ComparedForeign, false
		return one, nil
	}
	if !one.wrong {
		one.state, one.wrong = ComparedOutdated, true
		one.reason = fmt.Sprintf("zone %s: version %d was not applied, what is known of is %d", one.zone, one.version, applied.Version)
		if applied.Distrusted {
			one.reason += ", of which something else was found to be served"
		}
	}
	return one, nil
}
