package activities_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// never is an address where nothing answers.
const never = "127.0.0.1:1"

// made tells of a zone's creation what PowerDNS answered, and what was known before.
func made(answer []byte, before uint64) pdns.Call {
	return pdns.Call{
		Zone: "ahead.example.", Kind: pdns.ChangeAdd, ChangeID: "made", Made: pdns.Settings{Kind: "Native"}, Answer: answer, Before: before,
	}
}

func knownAs(v pdns.Version, revision uint64) activities.Known {
	return func(string) (pdns.Version, uint64, bool) { return v, revision, true }
}

// publishedAsServed wants a look at the zone to find what is published.
func (h hosts) publishedAsServed(t *testing.T) activities.ExportZoneResult {
	t.Helper()
	_, revision, err := h.store.Newest(t.Context(), "ahead.example.")
	require.NoError(t, err)
	looked, err := export(h.primary, changes())
	require.NoError(t, err)
	require.Equal(t, activities.ExportUnchanged, looked.Outcome)
	require.Equal(t, revision, looked.Revision)
	return looked
}

// What the answer to a zone's creation says is published without a look at the zone, and
// is what the zone says.
func TestAZoneIsPublishedFromTheAnswerToItsCreation(t *testing.T) {
	h := newHosts(t)
	address := h.primary.DNSAddress
	h.primary.DNSAddress = never
	ahead := activities.NewAhead(t.Context(), h.primary, knownAs(pdns.Version{}, 0))
	ahead.Changed(made(makeZone(t, "ahead.example."), 0))
	require.True(t, ahead.Settled(t.Context(), "ahead.example.", "made"))

	h.primary.DNSAddress = address
	published := h.publishedAsServed(t).Version
	require.Equal(t, 3, published.Records)

	result, err := apply(h.secondary, "ahead.example.")
	require.NoError(t, err)
	require.Equal(t, activities.AppliedNow, result.Outcome)
	h.serves(t, "ahead.example.", published.Serial)
}

// An answer is of no use once something was published that it may be older than, whether
// this host has heard of that or not.
func TestAnAnswerThatIsOutOfDate(t *testing.T) {
	for _, heard := range []bool{true, false} {
		t.Run(fmt.Sprintf("heard of: %t", heard), func(t *testing.T) {
			h := newHosts(t)
			answer := makeZone(t, "ahead.example.")
			set(t, "ahead.example.", 9, "newer")
			newer, err := export(h.primary, changes())
			require.NoError(t, err)
			known := knownAs(pdns.Version{}, 0)
			if heard {
				known = knownAs(newer.Version, newer.Revision)
			}
			ahead := activities.NewAhead(t.Context(), h.primary, known)
			ahead.Changed(made(answer, 0))
			ahead.Settled(t.Context(), "ahead.example.", "made")
			_, revision, err := h.store.Newest(t.Context(), "ahead.example.")
			require.NoError(t, err)
			require.Equal(t, newer.Revision, revision)
		})
	}
}

// What is not distributed is not for that an answer says it.
func TestAnAnswerOfAZoneThatIsLeftOut(t *testing.T) {
	h := newHosts(t)
	h.primary.Selection = pdns.Selection{Accounts: []string{"other"}}
	ahead := activities.NewAhead(t.Context(), h.primary, knownAs(pdns.Version{}, 0))
	ahead.Changed(made(makeZone(t, "ahead.example."), 0))
	require.False(t, ahead.Settled(t.Context(), "ahead.example.", "made"))
	_, _, err := h.store.Newest(t.Context(), "ahead.example.")
	require.ErrorIs(t, err, pdns.ErrNoVersion)
}

// Where an answer does not say what is served, or nothing, the zone is looked at.
func TestAnAnswerThatDoesNotSayWhatIsServed(t *testing.T) {
	for what, settings := range map[string]map[string]any{
		"signed":             {"dnssec": true},
		"serial edited":      {"soa_edit": "INCEPTION-EPOCH"},
		"less usual records": {"rrsets": []any{rrset("ahead.example.", "TLSA", "3 1 1 0b9fa5a59eed715c26c1020c711b4f6ec42d58b0015e14337a39dad301c5afc3")}},
		"broken":             nil,
		"another's":          nil,
	} {
		t.Run(what, func(t *testing.T) {
			h := newHosts(t)
			answer := makeZone(t, "ahead.example.", settings)
			switch what {
			case "broken":
				answer = answer[:len(answer)-2]
			case "another's":
				answer = makeZone(t, "another.example.")
			}
			ahead := activities.NewAhead(t.Context(), h.primary, knownAs(pdns.Version{}, 0))
			ahead.Changed(made(answer, 0))
			require.True(t, ahead.Settled(t.Context(), "ahead.example.", "made"))
			looked := h.publishedAsServed(t)

			h.primary.DNSAddress = never
			ahead = activities.NewAhead(t.Context(), h.primary, knownAs(looked.Version, looked.Revision))
			ahead.Changed(made(answer, looked.Revision))
			require.False(t, ahead.Settled(t.Context(), "ahead.example.", "made"), "published without a look")
		})
	}
}
