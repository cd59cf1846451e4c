package pdns

import (
	"slices"
	"strings"
	"time"
)

// Listed is a zone as a primary's own list shows it.
type Listed struct {
	Zone string
	// Serial is the one that is served (PowerDNS's edited_serial).
	Serial uint32
	// Signed says that the zone has keys or came with signatures.
	Signed bool
}

// Drift is how what was published differs from what a primary holds: the zones
// to export again. Every list is sorted; no zone is in two of them.
type Drift struct {
	// Unpublished lists zones of which nothing is published, or a tombstone.
	Unpublished []string
	// Changed lists zones whose serial, or whether they are signed, differs from
	// the newest version.
	Changed []string
	// Gone lists zones that were published and are not listed.
	Gone []string
	// Stale lists signed zones that were published before the signatures were
	// last renewed: PowerDNS renews them without changing the serial.
	Stale []string
}

// Wrong returns the zones of which something else is served than the primary
// holds, sorted: all but the stale ones, for which there is time.
func (d Drift) Wrong() []string {
	wrong := slices.Concat(d.Unpublished, d.Changed, d.Gone)
	slices.Sort(wrong)
	return wrong
}

// Only returns the drift with those of the wrong zones, which must be sorted, alone.
func (d Drift) Only(wrong []string) Drift {
	d.Unpublished, d.Changed, d.Gone = among(wrong, d.Unpublished), among(wrong, d.Changed), among(wrong, d.Gone)
	return d
}

// among returns those of the zones that are among others, which must be sorted.
func among(others, zones []string) []string {
	return slices.DeleteFunc(slices.Clone(zones), func(zone string) bool {
		_, found := slices.BinarySearch(others, zone)
		return !found
	})
}

// justPublished is how long after a list was begun what is published counts as newer
// than the list. A publisher's clock that is more ahead than that is not believed.
const justPublished = time.Minute

// PlanScan compares a primary's complete list, begun at now, with the newest versions.
// It only says where to look: whether a zone is exported, deleted or left alone is
// decided by its export, which asks PowerDNS for that zone. Zones whose
// signatures PowerDNS has renewed by now are stale. What was published since then,
// as many zones are in an import, is left to the next scan.
//
// Serials are compared for equality alone: which of two comes later (RFC 1982)
// says nothing about which is right, since a restored backup goes back.
func PlanScan(listed []Listed, newest map[string]Version, now time.Time) Drift {
	var drift Drift
	here := make(map[string]bool, len(listed))
	for _, zone := range listed {
		here[zone.Zone] = true
		v, published := newest[zone.Zone]
		switch {
		case v.publishedSince(now):
		case !published || v.Deleted:
			drift.Unpublished = append(drift.Unpublished, zone.Zone)
		case v.Serial != zone.Serial || v.Signed != zone.Signed:
			drift.Changed = append(drift.Changed, zone.Zone)
		case v.SignaturesRolled(now):
			drift.Stale = append(drift.Stale, zone.Zone)
		}
	}
	for zone, v := range newest {
		if !v.Deleted && !here[zone] && !v.publishedSince(now) {
			drift.Gone = append(drift.Gone, zone)
		}
	}
	for _, list := range [][]string{drift.Unpublished, drift.Changed, drift.Gone, drift.Stale} {
		slices.SortFunc(list, strings.Compare)
	}
	return drift
}

func (v Version) publishedSince(now time.Time) bool {
	return v.Time.After(now) && v.Time.Before(now.Add(justPublished))
}
