package pdns

import (
	"fmt"
	"time"
)

// Guard says how much may be deleted, or lost of a zone, before a person is
// asked. It is asked once, before publication: what is published is applied
// everywhere.
type Guard struct {
	// MaxDelete zones, or MaxDeletePercent of all, whichever is more, may be
	// deleted within [GuardWindow] without an API call, and never more than half.
	MaxDelete, MaxDeletePercent int
	// MaxAPIDeletePerMinute zones may be deleted by API calls within a minute.
	MaxAPIDeletePerMinute int
	// A zone of MinRecords plain records or more may lose MaxShrinkPercent of
	// them without an API call.
	MaxShrinkPercent, MinRecords int
}

// GuardWindow is the time over which deletes without an API call are counted.
const GuardWindow = time.Hour

// APIWindow is the time over which deletes by API calls are counted.
const APIWindow = time.Minute

// Proxied says what a person, or a program in his name, asked for by a call
// through one of our api-proxies. Only an event with a valid proof says so.
type Proxied string

// What an API call did. NotProxied is all else: events of other programs, scans,
// checks, commands.
const (
	NotProxied    Proxied = ""
	ProxiedChange Proxied = "change"
	ProxiedDelete Proxied = "delete"
)

// ProxiedAs is what a call of this kind asked for.
func ProxiedAs(kind ChangeKind) Proxied {
	if kind == ChangeDelete {
		return ProxiedDelete
	}
	return ProxiedChange
}

// And is what two calls ask for that one export answers. Which came first does
// not matter: a delete is only carried out where the zone is gone.
func (p Proxied) And(q Proxied) Proxied {
	if p == ProxiedDelete || q == NotProxied {
		return p
	}
	return q
}

// Survey compares one primary's whole list of zones with what is published.
type Survey struct {
	// Published are the zones whose newest version is no tombstone, and Gone
	// those of them that the list lacks.
	Published, Gone []string
	// Listed are the zones in the list that are distributed.
	Listed map[string]bool
	// LeftOver is how many zones secondaries hold of which nothing is published:
	// they are gone like those that are.
	LeftOver int
}

// NewSurvey makes a survey of the zones that are published and of those of the
// primary's list that are distributed.
func NewSurvey(published []string, listed map[string]bool) Survey {
	s := Survey{Published: published, Listed: listed}
	for _, zone := range published {
		if !listed[zone] {
			s.Gone = append(s.Gone, zone)
		}
	}
	return s
}

// Deletes decides whether zones that are gone from the primary, without an API
// call that says so, may be deleted. It returns the ledger with them noted; with a
// reason they are held, all of them, and nothing is noted.
//
// What counts is what is gone in all, not only what is asked for now: when
// half of a database is lost, the first of its zones are held like the last.
func (g Guard) Deletes(zones []string, survey Survey, ledger Ledger, now time.Time) (Ledger, string) {
	if len(survey.Listed) == 0 {
		return ledger, "the primary lists no zone that is distributed: its database is empty, another one, or zones.include leaves nothing over"
	}
	ledger = ledger.within(GuardWindow, now)
	most := g.mostDeletes(ledger.with(survey.Published, now, GuardWindow).len())
	asked := ledger.with(zones, now, GuardWindow)
	if total := max(asked.with(survey.Gone, now, GuardWindow).len(), survey.LeftOver); total > most {
		return ledger, fmt.Sprintf("%d of %d zones are gone from the primary or were deleted within the last hour, no API call through the proxy said so, and %d may go unasked (guard.max_delete, guard.max_delete_percent)",
			total, len(survey.Published), most)
	}
	return asked, ""
}

// mostDeletes is how many of so many zones may go without an API call: no more than can be
// noted, whatever is configured.
func (g Guard) mostDeletes(zones int) int {
	return min(max(g.MaxDelete, zones*g.MaxDeletePercent/100), zones/2, ledgerRoom)
}

// APIDeletes is [Guard.Deletes] for zones that API calls through a proxy deleted.
func (g Guard) APIDeletes(zones []string, ledger Ledger, now time.Time) (Ledger, string) {
	ledger = ledger.within(APIWindow, now)
	asked := ledger.with(zones, now, APIWindow)
	if total := asked.len(); total > g.MaxAPIDeletePerMinute {
		return ledger, fmt.Sprintf("API calls deleted %d zones within a minute, and %d may go unasked (guard.max_api_delete_per_minute)", total, g.MaxAPIDeletePerMinute)
	}
	return asked, ""
}

// Shrinks says why a zone that goes from one version to the next must be held,
// with an empty string that it need not be. Signing and unsigning a zone
// changes no plain record.
func (g Guard) Shrinks(from, to Version) string {
	if from.Deleted || to.Deleted || from.Plain < g.MinRecords || to.Plain*100 >= from.Plain*(100-g.MaxShrinkPercent) {
		return ""
	}
	return fmt.Sprintf("the zone shrinks from %d records to %d (DNSSEC's own not counted), no API call through the proxy said so, and %d %% may go unasked (guard.max_shrink_percent)",
		from.Plain, to.Plain, g.MaxShrinkPercent)
}
