package pdns

import "time"

const (
	// fewQueries is up to how many queries a second a server is asked so few that
	// it can do without its cache.
	fewQueries = 2000
	// What was found counts for trafficLook. It takes two counts, at least
	// trafficFirst and at most trafficLast apart.
	trafficLook  = time.Second
	trafficFirst = 100 * time.Millisecond
	trafficLast  = 10 * time.Second
)

// Traffic is how much a server is asked, by counts of the queries that it has got.
// The zero value knows nothing. Not safe for concurrent use.
type Traffic struct {
	at         time.Time
	queries    uint64
	known, few bool
}

// Due reports whether another count is needed.
func (t *Traffic) Due(now time.Time) bool {
	if t.known {
		return now.Sub(t.at) >= trafficLook
	}
	return now.Sub(t.at) >= trafficFirst
}

// Count takes in how many queries there have been since the server started.
func (t *Traffic) Count(now time.Time, queries uint64) {
	since := now.Sub(t.at)
	t.known = since <= trafficLast && queries >= t.queries
	t.few = t.known && float64(queries-t.queries) <= fewQueries*since.Seconds()
	t.at, t.queries = now, queries
}

// Many reports whether the server was just found to be asked more than little.
func (t *Traffic) Many(now time.Time) bool { return t.known && !t.few && !t.Due(now) }

// Few reports whether the server is asked so little that it can do without its
// cache; false where that is not known.
func (t *Traffic) Few() bool { return t.few }
