package activities

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// askedZones is how many zones a compare asks the local PowerDNS for by DNS;
	// of more, that many by chance, others each time.
	askedZones = 10_000
	// eachZones is up to how many zones that differ NATS is asked for one by one, and
	// waited for; where there are more, it lists all zones, once.
	eachZones = 1000
	// askedAtOnce bounds the questions in flight.
	askedAtOnce = 32
)

// CatalogueReader reads the lists of checks.
type CatalogueReader interface {
	// ReadList returns pdns.ErrContentGone for a list that is not kept any more.
	ReadList(ctx context.Context, name string, list any) error
}

// CompareZonesInput asks how this secondary differs from a catalogue.
type CompareZonesInput struct {
	Catalogue string `json:"catalogue"`
	// Repaired says that what differed was repaired since: it is not waited for what is
	// on its way.
	Repaired bool `json:"repaired,omitempty"`
}

// CompareZonesResult counts how one secondary differs from the catalogue.
type CompareZonesResult struct {
	// Zones counts those that must be served, Right those held as they should be,
	// Asked those of them that were asked for by DNS.
	Zones int `json:"zones"`
	Right int `json:"right"`
	Asked int `json:"asked"`

	Missing  int `json:"missing,omitempty"`
	Outdated int `json:"outdated,omitempty"`
	Ahead    int `json:"ahead,omitempty"`
	LeftOver int `json:"left_over,omitempty"`
	Foreign  int `json:"foreign,omitempty"`
	// Answered counts zones that are held right and answered wrongly.
	Answered int `json:"answered_wrongly,omitempty"`
	// Names are the first few that differ, each with how.
	Names []string `json:"names,omitempty"`

	// AnsweredZones are those answered wrongly, OrphanedZones those left over of
	// which nothing is published, up to a batch of each.
	AnsweredZones []string `json:"answered_zones,omitempty"`
	OrphanedZones []string `json:"orphaned_zones,omitempty"`
	// Orphaned counts all of the latter.
	Orphaned int `json:"orphaned,omitempty"`
}

// Wrong counts the differences.
func (r CompareZonesResult) Wrong() int {
	return r.Missing + r.Outdated + r.Ahead + r.LeftOver + r.Foreign + r.Answered
}

// Kinds are the differences by kind.
func (r CompareZonesResult) Kinds() map[string]int {
	return map[string]int{
		"missing": r.Missing, "outdated": r.Outdated, "ahead": r.Ahead, "left over": r.LeftOver, "foreign": r.Foreign, "answered wrongly": r.Answered,
	}
}

// CompareZones compares what this secondary holds, has applied and answers with
// a catalogue. It changes nothing, but that PowerDNS's cache is dropped of what
// it answers from it wrongly.
func (s *Secondary) CompareZones(ctx context.Context, in CompareZonesInput) (CompareZonesResult, error) {
	var done atomic.Int64
	defer beat(ctx, func() any { return done.Load() })()
	result, err := s.compare(ctx, in, &done)
	if err != nil {
		return CompareZonesResult{}, classify(fmt.Errorf("compare secondary %s: %w", s.ID, err))
	}
	return result, nil
}

func (s *Secondary) compare(ctx context.Context, in CompareZonesInput, done *atomic.Int64) (CompareZonesResult, error) {
	var catalogue []pdns.Catalogued
	if err := s.Catalogues.ReadList(ctx, in.Catalogue, &catalogue); err != nil {
		return CompareZonesResult{}, err
	}
	catalogue, differences, err := s.differences(ctx, catalogue, in.Repaired)
	if err != nil {
		return CompareZonesResult{}, err
	}
	answered, asked, err := s.askAll(ctx, catalogue, differences.Right, done)
	if err != nil {
		return CompareZonesResult{}, err
	}
	result := countDifferences(differences, answered)
	result.Asked = asked
	for _, line := range catalogue {
		if line.Version != 0 && !line.Deleted {
			result.Zones++
		}
	}
	return result, nil
}

// differences compares this secondary with the catalogue, and what differs once more
// with what is newest by then; where nothing was repaired yet, as long as that settles
// some. It returns the catalogue brought up to date with that.
func (s *Secondary) differences(ctx context.Context, catalogue []pdns.Catalogued, repaired bool) ([]pdns.Catalogued, pdns.Differences, error) {
	side, err := s.side(ctx, catalogue)
	if err != nil {
		return nil, pdns.Differences{}, err
	}
	found := side.Compare()
	again := func(differ []string) (still []string, err error) {
		newest, later, err := s.recheck(ctx, catalogue, differ)
		if err != nil {
			return nil, err
		}
		catalogue, found = newest, found.Again(later)
		return found.Wrong(), nil
	}
	if wrong := found.Wrong(); len(wrong) > 0 {
		if wrong, err = again(wrong); err == nil && !repaired && len(wrong) <= eachZones {
			_, err = settle(ctx, wrong, again)
		}
	}
	return catalogue, found, err
}

// side reads what this secondary holds and has applied, completely.
func (s *Secondary) side(ctx context.Context, catalogue []pdns.Catalogued) (*pdns.Side, error) {
	side := pdns.NewSide(catalogue)
	for zone, err := range s.PowerDNS.Zones(ctx) {
		if err != nil {
			return nil, fmt.Errorf("list the zones of the local PowerDNS: %w", err)
		}
		side.Holds(zone.Name, pdns.Held{Serial: zone.Serial, Ours: zone.OwnedBy(pdns.Account, s.Master)})
	}
	all, err := s.Applied.All()
	if err != nil {
		return nil, err
	}
	for _, applied := range all {
		side.HasApplied(applied)
	}
	return side, nil
}

// recheck compares again with the newest versions of zones that differed, sorted: the
// catalogue may be older than what was synced meanwhile.
func (s *Secondary) recheck(ctx context.Context, catalogue []pdns.Catalogued, wrong []string) ([]pdns.Catalogued, pdns.Differences, error) {
	newest, err := s.newestOf(ctx, wrong)
	if err != nil {
		return nil, pdns.Differences{}, err
	}
	var since []pdns.Catalogued // published since the catalogue was made
	for _, line := range newest {
		switch at, listed := pdns.FindCatalogued(catalogue, line.Zone); {
		case !listed:
			since = append(since, line)
		case line.Version > catalogue[at].Version: // NATS may answer with the one before
			catalogue[at] = line
		}
	}
	catalogue = pdns.SortCatalogued(append(catalogue, since...))
	side, err := s.side(ctx, catalogue)
	if err != nil {
		return nil, pdns.Differences{}, err
	}
	return catalogue, side.Compare(), nil
}

// newestOf returns the lines of zones, sorted, of which something is published.
func (s *Secondary) newestOf(ctx context.Context, zones []string) ([]pdns.Catalogued, error) {
	var newest []pdns.Catalogued
	if len(zones) > eachZones {
		for v, err := range s.Versions.All(ctx) {
			if err != nil {
				return nil, fmt.Errorf("list the newest versions: %w", err)
			}
			if _, asked := slices.BinarySearch(zones, v.Zone); asked {
				newest = append(newest, pdns.CataloguedFrom(v))
			}
		}
		return newest, nil
	}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for _, zone := range zones {
		group.Go(func() error {
			v, _, err := s.Versions.Fetch(ctx, zone)
			switch {
			case errors.Is(err, pdns.ErrNoVersion):
				return nil
			case err != nil:
				return fmt.Errorf("ask NATS for the newest version of zone %s: %w", zone, err)
			}
			mu.Lock()
			defer mu.Unlock()
			newest = append(newest, pdns.CataloguedFrom(v))
			return nil
		})
	}
	return newest, group.Wait()
}

// askAll asks the local PowerDNS by DNS for zones that it holds right, and returns
// those that it answers wrongly, sorted, and how many were asked.
func (s *Secondary) askAll(ctx context.Context, catalogue []pdns.Catalogued, right []string, done *atomic.Int64) (wrong []string, asked int, err error) {
	right = sample(right, askedZones)
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(askedAtOnce)
	for _, zone := range right {
		at, _ := pdns.FindCatalogued(catalogue, zone)
		group.Go(func() error {
			defer done.Add(1)
			if ctx.Err() != nil || s.answers(ctx, catalogue[at]) {
				return nil
			}
			mu.Lock()
			defer mu.Unlock()
			wrong = append(wrong, zone)
			return nil
		})
	}
	_ = group.Wait() // none of them fails
	slices.Sort(wrong)
	return wrong, len(right), ctx.Err()
}

// answers says whether PowerDNS serves a zone as it holds it, after a second
// look past its cache.
func (s *Secondary) answers(ctx context.Context, line pdns.Catalogued) bool {
	want := pdns.Version{Zone: line.Zone, Serial: line.Serial}
	if s.serves(ctx, want) == nil {
		return true
	}
	if err := s.PowerDNS.FlushCache(ctx, line.Zone); err != nil {
		return false
	}
	if s.serves(ctx, want) == nil {
		return true
	}
	// It may have been changed since it was compared.
	newest, _, err := s.Versions.Fetch(ctx, line.Zone)
	return err == nil && newest.Version != line.Version
}

// sample returns n of the zones, chosen by chance; all where there are no more.
func sample(zones []string, n int) []string {
	if len(zones) <= n {
		return zones
	}
	zones = slices.Clone(zones)
	rand.Shuffle(len(zones), func(i, j int) { zones[i], zones[j] = zones[j], zones[i] })
	return zones[:n]
}

// countDifferences makes counts and a few names of the differences: all names are
// too many for a workflow.
func countDifferences(d pdns.Differences, answered []string) CompareZonesResult {
	result := CompareZonesResult{
		Right: len(d.Right) - len(answered), Missing: len(d.Missing), Outdated: len(d.Outdated), Ahead: len(d.Ahead),
		LeftOver: len(d.LeftOver) + len(d.Orphaned), Foreign: len(d.Foreign), Answered: len(answered),
		AnsweredZones: answered[:min(len(answered), MaxBatch)], OrphanedZones: d.Orphaned[:min(len(d.Orphaned), MaxBatch)], Orphaned: len(d.Orphaned),
	}
	for _, kind := range []struct {
		is    string
		zones []string
	}{
		{"missing", d.Missing}, {"outdated", d.Outdated}, {"ahead", d.Ahead}, {"left over", d.LeftOver},
		{"left over", d.Orphaned}, {"foreign", d.Foreign}, {"answered wrongly", answered},
	} {
		for _, zone := range kind.zones[:min(len(kind.zones), namesShown-len(result.Names))] {
			result.Names = append(result.Names, zone+" "+kind.is)
		}
	}
	return result
}
