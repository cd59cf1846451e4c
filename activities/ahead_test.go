package activities_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

func changes(ids ...string) activities.ExportZoneInput {
	return activities.ExportZoneInput{Zone: "ahead.example.", Primary: "primary-1", Changes: ids}
}

func TestWhatWasExportedAheadIsNotLookedAtAgain(t *testing.T) {
	h := newHosts(t)
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	set(t, "ahead.example.", 7, "seven")
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	first, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, first.Outcome)
	require.EqualValues(t, 7, first.Version.Serial)

	set(t, "ahead.example.", 8, "eight")
	again, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	require.Equal(t, first.Version, again.Version, "exported after change-1 already")

	for _, asked := range [][]string{nil, {"change-1", "change-2"}} {
		looked, err := export(h.primary, changes(asked...))
		require.NoError(t, err)
		require.EqualValues(t, 8, looked.Version.Serial, "asked for %v", asked)
		set(t, "ahead.example.", 7, "seven")
		_, err = export(h.primary, changes())
		require.NoError(t, err)
		set(t, "ahead.example.", 8, "eight")
	}
}

// An export ahead that finds nothing changed writes nothing, so it keeps nobody from publishing what he read before: the change
// that it was made for asks once more then.
func TestAnUnchangedZoneIsLookedAtAgainWhereSomethingElseWasPublished(t *testing.T) {
	h := newHosts(t)
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	first, err := export(h.primary, changes())
	require.NoError(t, err)
	lost(t, "ahead.example.")
	makeZone(t, "ahead.example.") // deleted and made again just as it was
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	unchanged, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	require.Equal(t, activities.ExportUnchanged, unchanged.Outcome)

	tombstone := pdns.Version{Zone: "ahead.example.", Version: first.Version.Version + 1, Deleted: true, Publisher: "primary-1"}
	_, err = h.store.Publish(t.Context(), tombstone, nil, first.Revision) // by an export that saw it gone
	require.NoError(t, err)
	again, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, again.Outcome)
	require.False(t, again.Version.Deleted)
}

func TestABatchLooksOnlyAtWhatWasNotExportedAhead(t *testing.T) {
	h := newHosts(t)
	registry := prometheus.NewRegistry()
	h.primary.Metrics = activities.NewPrimaryMetrics(registry)
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	first, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	makeZone(t, "other.example.")
	set(t, "ahead.example.", 8, "eight")
	in := activities.ZonesInput{
		Zones:   []string{"ahead.example.", "other.example."},
		Changes: map[string][]string{"ahead.example.": {"change-1"}, "other.example.": {"change-2"}},
	}
	_, err = run[activities.ZonesResult](h.primary, h.primary.ExportZones, in)
	require.NoError(t, err)
	newest, _, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err)
	require.Equal(t, first.Version, newest, "exported after change-1 already")
	_, _, err = h.store.Newest(t.Context(), "other.example.")
	require.NoError(t, err, "exported now")
	require.InDelta(t, 2, counters(t, registry)["pdnsdist_exports_total published"], 0, "each once")
}

func TestChangesInQuickSuccessionShareAnExportAhead(t *testing.T) {
	h := newHosts(t)
	h.primary.Timing.MinInterval = 2 * time.Second
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-0"})
	first, err := export(h.primary, changes("change-0"))
	require.NoError(t, err)
	for serial, id := range []string{"a", "b", "c", "d"} {
		set(t, "ahead.example.", uint32(10+serial), id)
		ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: id})
	}
	last, err := export(h.primary, changes("a", "b", "c", "d"))
	require.NoError(t, err)
	require.EqualValues(t, 13, last.Version.Serial)
	require.Equal(t, first.Revision+1, last.Revision, "one more publication for all four")
}

func TestAFailedExportAheadIsDoneByTheSync(t *testing.T) {
	h := newHosts(t)
	broken := *h.primary
	broken.DNSAddress = "127.0.0.1:1"
	ahead := activities.NewAhead(t.Context(), &broken, nil)
	makeZone(t, "ahead.example.")
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	_, err := export(&broken, changes("change-1"))
	require.ErrorContains(t, err, "127.0.0.1:1", "looked itself")
}

// What this host knows of a zone may be old: nothing counts as unchanged, or as gone already, since then.
func TestAnExportAheadFromAnOldVersion(t *testing.T) {
	h := newHosts(t)
	makeZone(t, "ahead.example.")
	set(t, "ahead.example.", 7, "seven")
	_, err := export(h.primary, changes())
	require.NoError(t, err)
	old, revision, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err)
	set(t, "ahead.example.", 8, "eight")
	eight, err := export(h.primary, changes())
	require.NoError(t, err)
	ahead := activities.NewAhead(t.Context(), h.primary, func(string) (pdns.Version, uint64, bool) { return old, revision, true })

	set(t, "ahead.example.", 7, "seven") // as it was in the old version
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	require.True(t, ahead.Settled(t.Context(), "ahead.example.", "change-1"))
	again, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	require.EqualValues(t, 7, again.Version.Serial)
	require.Greater(t, again.Version.Version, eight.Version.Version)

	set(t, "ahead.example.", 9, "nine") // and one that loses the compare-and-set
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-2"})
	require.True(t, ahead.Settled(t.Context(), "ahead.example.", "change-2"))

	old, revision = pdns.Version{Zone: "ahead.example.", Version: 1, Deleted: true, Publisher: "primary-1"}, 1
	call(t, http.MethodDelete, "/zones/ahead.example.", nil)
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeDelete, ChangeID: "gone"})
	result, err := export(h.primary, changes("gone"))
	require.NoError(t, err)
	require.True(t, result.Version.Deleted)
	require.Greater(t, result.Version.Version, again.Version.Version)
}

// An export that takes long is not begun anew by the sync: it goes on, in a place of its own. A second such at the same time is
// left to its sync.
func TestALongExportAheadGoesOn(t *testing.T) {
	h := newHosts(t)
	slow := &slowZones{PrimaryPowerDNS: h.primary.PowerDNS, asked: make(map[string]int), answer: make(chan struct{})}
	h.primary.PowerDNS = slow
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	for _, zone := range []string{"ahead.example.", "large.example.", "small.example."} {
		makeZone(t, zone)
	}
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	eventually.True(t, "the first has its own place", func() bool { return ahead.Large() == 1 })
	ahead.Changed(pdns.Call{Zone: "large.example.", Kind: pdns.ChangeModify, ChangeID: "change-2"})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.False(t, ahead.Settled(ctx, "large.example.", "change-2"))
	require.NoError(t, ctx.Err(), "the second ends without an answer")

	close(slow.answer)
	result, err := export(h.primary, changes("change-1"))
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	require.Equal(t, 1, slow.times("ahead.example."))
	eventually.True(t, "its place is free", func() bool { return ahead.Large() == 0 })
	ahead.Changed(pdns.Call{Zone: "small.example.", Kind: pdns.ChangeModify, ChangeID: "change-3"})
	require.True(t, ahead.Settled(t.Context(), "small.example.", "change-3"))
}

// slowZones answers no question about a zone before answer is closed.
type slowZones struct {
	activities.PrimaryPowerDNS
	answer chan struct{}
	mu     sync.Mutex
	asked  map[string]int
}

func (s *slowZones) Zone(ctx context.Context, zone string) (api.Zone, error) {
	s.mu.Lock()
	s.asked[zone]++
	s.mu.Unlock()
	select {
	case <-s.answer:
		return s.PrimaryPowerDNS.Zone(ctx, zone)
	case <-ctx.Done():
		return api.Zone{}, ctx.Err()
	}
}

func (s *slowZones) times(zone string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[zone]
}

func TestADeletionIsExportedAhead(t *testing.T) {
	h := newHosts(t)
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	_, err := export(h.primary, changes())
	require.NoError(t, err)
	call(t, http.MethodDelete, "/zones/ahead.example.", nil)
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeDelete, ChangeID: "gone"})
	result, err := export(h.primary, changes("gone"))
	require.NoError(t, err)
	require.True(t, result.Version.Deleted)
}

// Of a zone that was just made it is known that it is distributed; where it may not be, it
// is asked.
func TestAZoneThatWasJustMadeIsNotAskedAbout(t *testing.T) {
	for kind, asked := range map[string]int{"Native": 0, "": 1, "Producer": 1} {
		t.Run("made as "+kind, func(t *testing.T) {
			h := newHosts(t)
			counting := &countingZones{PrimaryPowerDNS: h.primary.PowerDNS}
			h.primary.PowerDNS = counting
			ahead := activities.NewAhead(t.Context(), h.primary, nil)
			makeZone(t, "ahead.example.")
			ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeAdd, ChangeID: "made", Made: pdns.Settings{Kind: kind}})
			require.True(t, ahead.Settled(t.Context(), "ahead.example.", "made"))
			require.Equal(t, asked, counting.count)
		})
	}
}

// follow applies on h.secondary what is published, until the test ends.
func (h hosts) follow(t *testing.T) *activities.Follower {
	t.Helper()
	follower := activities.NewFollower(h.secondary)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); follower.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
	return follower
}

// serves waits until the secondary serves the serial.
func (h hosts) serves(t *testing.T, zone string, serial uint32) {
	t.Helper()
	eventually.True(t, "the secondary serves it", func() bool {
		answer, err := h.secondary.DNS.SOA(t.Context(), h.secondary.DNSAddress, zone)
		return err == nil && answer.Served(zone) && answer.Serial == serial
	})
}

func TestAVersionIsAppliedAsItIsPublished(t *testing.T) {
	h := newHosts(t)
	follower := h.follow(t)
	ready := make(chan struct{})
	followed := sync.OnceFunc(func() { close(ready) })
	go h.store.Follow(t.Context(), slog.New(slog.DiscardHandler), nil, func(v pdns.Version, content []byte, trace string) {
		if v.Zone == "marker.example." {
			followed()
			return
		}
		follower.Published(v, content, trace)
	})
	makeZone(t, "marker.example.")
	eventually.True(t, "the bucket is followed", func() bool {
		set(t, "marker.example.", uint32(time.Now().UnixMilli()), "again")
		_, err := export(h.primary, activities.ExportZoneInput{Zone: "marker.example."})
		require.NoError(t, err)
		select {
		case <-ready:
			return true
		default:
			return false
		}
	})
	makeZone(t, "ahead.example.")
	for _, serial := range []uint32{5, 6} {
		set(t, "ahead.example.", serial, "text")
		_, err := export(h.primary, changes())
		require.NoError(t, err)
		h.serves(t, "ahead.example.", serial)
	}
	result, err := apply(h.secondary, "ahead.example.")
	require.NoError(t, err)
	require.Equal(t, activities.AppliedCurrent, result.Outcome)
}

func TestAnOlderVersionIsNeverAppliedAhead(t *testing.T) {
	h := newHosts(t)
	follower := h.follow(t)
	makeZone(t, "ahead.example.")
	var published []pdns.Version
	for _, serial := range []uint32{5, 6} {
		set(t, "ahead.example.", serial, "text")
		result, err := export(h.primary, changes())
		require.NoError(t, err)
		published = append(published, result.Version)
	}
	_, err := apply(h.secondary, "ahead.example.")
	require.NoError(t, err)
	tombstone := pdns.Version{Zone: "ahead.example.", Version: published[0].Version, Deleted: true}
	follower.Published(tombstone, nil, "")
	makeZone(t, "after.example.")
	after, err := export(h.primary, activities.ExportZoneInput{Zone: "after.example."})
	require.NoError(t, err)
	_, err = apply(h.secondary, "after.example.") // the tombstone had its turn long before
	require.NoError(t, err)
	h.serves(t, "after.example.", after.Version.Serial)
	h.serves(t, "ahead.example.", 6)
}

func TestSettledWaitsForTheExportAhead(t *testing.T) {
	h := newHosts(t)
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeAdd, ChangeID: "change-1"})
	ahead.Settled(t.Context(), "ahead.example.", "change-1")
	v, _, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err, "the export has ended")
	require.NotZero(t, v.Version)
	ahead.Settled(t.Context(), "ahead.example.", "another")
	ahead.Settled(t.Context(), "other.example.", "change-1")
}

func TestSettledEndsWithItsContext(t *testing.T) {
	h := newHosts(t)
	stuck := &gatedVersions{Publisher: h.store, open: make(chan struct{})}
	h.primary.Versions = stuck
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: "change-1"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	ahead.Settled(ctx, "ahead.example.", "change-1")
	require.Error(t, ctx.Err(), "it waited as long as it might")
	close(stuck.open)
}

// gatedVersions answers once it is open.
type gatedVersions struct {
	activities.Publisher
	open chan struct{}
}

func (g *gatedVersions) Newest(ctx context.Context, zone string) (pdns.Version, uint64, error) {
	select {
	case <-g.open:
	case <-ctx.Done():
	}
	return g.Publisher.Newest(ctx, zone)
}
