package activities_test

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// Where the question how a zone stands is not answered, its serial, which may be the new one already, proves nothing.
func TestAnEqualSerialProvesNothing(t *testing.T) {
	h := newHosts(t)
	const zone = "equal.example."
	makeZone(t, zone)
	many := make([]string, 3000) // which take a while to be stored
	for i := range many {
		many[i] = fmt.Sprintf("10.0.%d.%d", i/250, i%250)
	}
	call(t, http.MethodPatch, "/zones/"+zone, map[string]any{"rrsets": []any{rrset("many."+zone, "A", many...)}})
	silent := &silentOnce{Asker: h.secondary.DNS}
	h.secondary.DNS = silent
	for i := range 5 {
		text := fmt.Sprint("text ", i)
		set(t, zone, 7, text)
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
		state, known, err := h.secondary.Applied.Get(zone)
		require.NoError(t, err)
		if known { // has it transferred, not changed
			state.Distrusted = true
			require.NoError(t, h.secondary.Applied.Set(state))
		}
		silent.next.Store(known)
		applied, err := apply(h.secondary, zone)
		require.NoError(t, err)
		require.Equal(t, activities.AppliedNow, applied.Outcome)
		requireTXT(t, h.secondary.DNSAddress, zone, text)
	}
}

// silentOnce does not answer the next question.
type silentOnce struct {
	activities.Asker
	next atomic.Bool
}

func (s *silentOnce) SOA(ctx context.Context, server, zone string) (query.Answer, error) {
	if s.next.Swap(false) {
		return query.Answer{}, context.DeadlineExceeded
	}
	return s.Asker.SOA(ctx, server, zone)
}

// A zone that changes faster than it can be brought is not brought for ever.
func TestAZoneThatChangesAllTheTime(t *testing.T) {
	h := newHosts(t)
	const zone = "restless.example."
	makeZone(t, zone)
	_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	restless := &restless{Subscriber: h.secondary.Versions}
	restless.change = func() {
		set(t, zone, uint32(10+restless.count), "again")
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
	}
	h.secondary.Versions = restless
	applied, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedNow, applied.Outcome)
	require.Less(t, restless.count, 10)
	newest, _, err := restless.Subscriber.Fetch(t.Context(), zone)
	require.NoError(t, err)
	require.Equal(t, newest.Version, applied.Version)
}

// restless has the zone changed before each answer.
type restless struct {
	activities.Subscriber
	change func()
	count  int
}

func (r *restless) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	r.count++
	r.change()
	return r.Subscriber.Fetch(ctx, zone)
}
