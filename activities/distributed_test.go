package activities_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// newCountedAhead exports ahead.example., of which nothing is held, and counts how often PowerDNS is asked what a zone is.
func newCountedAhead(t *testing.T) (hosts, *activities.Ahead, *countingZones) {
	t.Helper()
	h := newHosts(t)
	asked := &countingZones{PrimaryPowerDNS: h.primary.PowerDNS}
	h.primary.PowerDNS = asked
	h.primary.Guard.MayHold = func(string) bool { return false }
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	return h, ahead, asked
}

// recordsChanged has a change of records of ahead.example. exported, and says whether that was published.
func recordsChanged(t *testing.T, ahead *activities.Ahead, change string) bool {
	t.Helper()
	ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: change, RRsets: []pdns.RRsetName{{Name: "ahead.example.", Type: "TXT"}}})
	return ahead.Settled(t.Context(), "ahead.example.", change)
}

// What a zone is is asked once, and again after a call that may have changed it.
func TestAZoneWhoseRecordsChangeIsNotAskedAboutEachTime(t *testing.T) {
	h, ahead, asked := newCountedAhead(t)
	records := []pdns.RRsetName{{Name: "ahead.example.", Type: "TXT"}}
	for i, call := range []struct {
		rrsets []pdns.RRsetName
		asked  int
	}{{records, 1}, {records, 1}, {nil, 2}, {records, 2}} {
		change := fmt.Sprint(i)
		set(t, "ahead.example.", uint32(100+i), "changed")
		ahead.Changed(pdns.Call{Zone: "ahead.example.", Kind: pdns.ChangeModify, ChangeID: change, RRsets: call.rrsets})
		require.True(t, ahead.Settled(t.Context(), "ahead.example.", change))
		require.Equal(t, call.asked, asked.count, "call %d", i)
	}
	h.primary.Guard.MayHold = func(string) bool { return true }
	set(t, "ahead.example.", 200, "changed")
	require.True(t, recordsChanged(t, ahead, "held"))
	require.Equal(t, 3, asked.count, "something of it may be held")
}

// A zone that is known to be distributed, and is gone meanwhile, is left to a sync, which asks the guard.
func TestNothingIsExportedAheadOfAKnownZoneThatIsGone(t *testing.T) {
	h, ahead, asked := newCountedAhead(t)
	require.True(t, recordsChanged(t, ahead, "before"))
	call(t, http.MethodDelete, "/zones/ahead.example.", nil)
	eventually.True(t, "PowerDNS transfers the zone no more", func() bool { return !recordsChanged(t, ahead, fmt.Sprint("after ", asked.count)) && asked.count > 1 })
	newest, _, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err)
	require.False(t, newest.Deleted)
}

// What a call changes in a zone that is not distributed any more is not for the public.
func TestNothingIsExportedAheadOfAZoneThatIsLeftOut(t *testing.T) {
	h := newHosts(t)
	ahead := activities.NewAhead(t.Context(), h.primary, nil)
	makeZone(t, "ahead.example.")
	before, err := export(h.primary, activities.ExportZoneInput{Zone: "ahead.example."})
	require.NoError(t, err)
	h.primary.Selection = pdns.Selection{Exclude: []string{"ahead.example."}}
	set(t, "ahead.example.", 4242, "internal")
	require.False(t, recordsChanged(t, ahead, "patch"))
	newest, _, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err)
	require.Equal(t, before.Version.Version, newest.Version)
}
