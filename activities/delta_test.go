package activities_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/applied"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// How one change goes to the secondary.
const (
	byItself = "changed"
	inFull   = "full"
	// asEver: no delta is made.
	asEver = "refused"
)

func TestChangesOfABigZone(t *testing.T) {
	text := func(name string) any { return rrset(name, "TXT", fmt.Sprintf("%q", rand.Text())) }
	at := func(label string) string { return label + "." + bigZone }
	for number, backend := range []string{"SQLite", "LMDB"} {
		t.Run(backend, func(t *testing.T) {
			b := newBigHosts(t, number)
			transferred := true
			for _, step := range []struct {
				what string
				sets []any
				how  string
				ask  []string
			}{
				{"replaced", []any{text(at("h001"))}, byItself, []string{at("h001")}},
				{"at the top", []any{text(bigZone)}, byItself, []string{bigZone}},
				{"two at once", []any{text(at("h001")), rrset(at("h002"), "A", "192.0.2.1")}, byItself, []string{at("h001"), at("h002")}},
				{"a new name", []any{text(at("new"))}, byItself, []string{at("new"), at("x.new")}},
				{"a name that goes", []any{gone(at("new"), "TXT")}, byItself, []string{at("new")}},
				{"a challenge comes", []any{text(at("_acme-challenge.h001"))}, byItself, []string{at("_acme-challenge.h001"), at("h001")}},
				{"what is above it goes", []any{gone(at("h001"), "TXT")}, asEver, []string{at("h001"), at("_acme-challenge.h001")}},
				{"what is above it comes", []any{text(at("h001"))}, inFull, []string{at("h001")}},
				{"the challenge goes", []any{gone(at("_acme-challenge.h001"), "TXT")}, byItself, []string{at("_acme-challenge.h001"), at("h001")}},
				{"an empty non-terminal comes", []any{text(at("a.b"))}, inFull, []string{at("a.b"), at("b")}},
				{"below it", []any{text(at("a.b"))}, byItself, []string{at("a.b"), at("b")}},
				{"it goes", []any{gone(at("a.b"), "TXT")}, asEver, []string{at("a.b"), at("b")}},
				{"an alias by CNAME", []any{rrset(at("alias"), "CNAME", at("h003"))}, byItself, []string{at("alias")}},
				{"another in its place", []any{gone(at("alias"), "CNAME"), text(at("alias"))}, byItself, []string{at("alias")}},
				{"and back", []any{gone(at("alias"), "TXT"), rrset(at("alias"), "CNAME", at("h004"))}, byItself, []string{at("alias")}},
				{"records of other types", []any{
					rrset(at("mail"), "MX", "10 "+at("h005")), rrset(at("_sip._tcp"), "SRV", "1 2 443 "+at("h005")), rrset(at("mail"), "CAA", `0 issue "ca.example"`),
				}, inFull, []string{at("mail"), at("_tcp")}},
				{"a delegation comes", []any{rrset(at("sub"), "NS", "ns."+at("sub"))}, asEver, []string{at("sub")}},
				{"below it", []any{rrset("ns."+at("sub"), "A", "192.0.2.53")}, asEver, []string{"ns." + at("sub")}},
				{"it becomes signed", []any{rrset(at("sub"), "DS", "1 13 2 "+fmt.Sprintf("%064d", 1))}, asEver, []string{at("sub")}},
				{"LUA", []any{rrset(at("lua"), "LUA", `TXT "'dynamic'"`)}, asEver, nil},
				{"beside LUA", []any{text(at("lua"))}, asEver, nil},
				{"ALIAS", []any{rrset(at("ali"), "ALIAS", at("h006"))}, asEver, nil},
				{"the servers of the zone", []any{rrset(bigZone, "NS", at("ns1"), at("ns2"))}, asEver, []string{bigZone}},
				{"the SOA", []any{rrset(bigZone, "SOA", at("ns1")+" "+at("hm")+" 2100000000 1 2 3 4")}, asEver, []string{bigZone}},
				{"after all that", []any{text(at("h007"))}, byItself, []string{at("h007")}},
				{"a wildcard", []any{text(at("*"))}, byItself, []string{at("*"), at("anything"), at("h008")}},
				{"a name that it covered", []any{text(at("covered"))}, inFull, []string{at("covered"), at("anything")}},
				{"that goes", []any{gone(at("covered"), "TXT")}, asEver, []string{at("covered")}},
			} {
				var hints []pdns.RRsetName
				for _, set := range step.sets {
					set := set.(map[string]any)
					hints = append(hints, named(set["name"].(string), set["type"].(string)))
				}
				var before, after map[string]int
				for {
					before = b.counts(t)
					patched(t, step.sets...)
					b.exported(t, b.told(hints...))
					require.Equal(t, step.how != asEver, b.newest(t).Unproven(), step.what)
					b.apply(t)
					after = b.counts(t)
					// A busy PowerDNS may have been told twice to take the zone as a whole: nothing is changed alone
					// until it has taken it once more.
					again := transferred && step.how == byItself && after[inFull] > before[inFull]
					transferred = false
					if !again {
						break
					}
				}
				transferred = step.how != byItself
				require.Equal(t, before[step.how]+1, after[step.how], "%s: %v, before %v", step.what, after, before)
				if step.how == asEver {
					require.Equal(t, before["made"], after["made"], step.what)
				}
				b.alike(t)
				for _, name := range step.ask {
					b.answers(t, name)
				}
			}
		})
	}
}

// What was not read as a whole is proven by the next full export, under its number:
// nobody has anything to do.
func TestADeltaIsProven(t *testing.T) {
	b := newBigHosts(t, 0)
	for range 3 {
		patched(t, rrset("h001."+bigZone, "TXT", fmt.Sprintf("%q", rand.Text())))
		result := b.exported(t, b.told(named("h001."+bigZone, "TXT")))
		require.True(t, result.Unproven, "the sync has to ask for another export")
		require.Nil(t, result.Version.Delta, "no content goes through a workflow")
		b.apply(t)
	}
	delta := b.newest(t)
	require.Len(t, delta.Delta.Chain, 3)
	require.Empty(t, delta.Digest)
	result := b.export(t)
	require.Equal(t, activities.ExportUnchanged, result.Outcome)
	proven := b.newest(t)
	require.Equal(t, delta.Version, proven.Version)
	require.False(t, proven.Unproven())
	require.NotEmpty(t, proven.Object)
	require.NotEqual(t, delta.Delta.Object, proven.Object)
	want, err := transfer.DigestOf(t.Context(), b.primary.DNSAddress, bigZone)
	require.NoError(t, err)
	require.Equal(t, want.Digest, proven.Digest)
	require.Equal(t, want.Records, proven.Records)
	held, err := apply(b.secondary, bigZone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedCurrent, held.Outcome)
	require.Equal(t, 1, b.counts(t)["proven"])

	patched(t, rrset("h002."+bigZone, "TXT", `"after the proof"`))
	b.exported(t, b.told(named("h002."+bigZone, "TXT")))
	require.Equal(t, proven.Version, b.newest(t).Delta.Base)
	b.apply(t)
	require.Equal(t, 4, b.counts(t)[byItself])
	b.alike(t)
}

// A hint that is wrong, or does not say all, is mended by the next full export,
// also where that finds the same serial.
func TestAWrongHintIsMended(t *testing.T) {
	b := newBigHosts(t, 0)
	patched(t, rrset("h001."+bigZone, "TXT", `"not said"`), rrset("h002."+bigZone, "TXT", `"said"`))
	b.exported(t, b.told(named("h002."+bigZone, "TXT")))
	b.apply(t)
	wrong := b.newest(t)
	require.True(t, wrong.Unproven())
	result := b.export(t)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	require.Equal(t, wrong.Serial, result.Version.Serial)
	require.Greater(t, result.Version.Version, wrong.Version)
	b.apply(t)
	b.alike(t)
	require.Equal(t, map[string]int{"made": 1, "replaced": 1, byItself: 1}, b.counts(t))
}

// A change that nobody told of, and one of which nobody knows what it changed,
// have the whole zone read.
func TestWhatIsNotToldOfIsReadInFull(t *testing.T) {
	b := newBigHosts(t, 0)
	patched(t, rrset("h001."+bigZone, "TXT", `"past the proxy"`))
	patched(t, rrset("h002."+bigZone, "TXT", `"through it"`))
	b.exported(t, b.told(named("h002."+bigZone, "TXT")))
	b.apply(t)
	b.alike(t)
	patched(t, rrset("h003."+bigZone, "TXT", `"no hint"`))
	b.exported(t, b.told())
	require.False(t, b.newest(t).Unproven())
	require.Equal(t, map[string]int{"refused": 1}, b.counts(t))
}

// Changes whose answers are still on their way when the first is exported share
// its delta.
func TestChangesInQuickSuccessionShareADelta(t *testing.T) {
	b := newBigHosts(t, 0)
	patched(t, rrset("h001."+bigZone, "TXT", `"first"`))
	patched(t, rrset("h002."+bigZone, "TXT", `"second"`))
	ids := []string{b.told(named("h001."+bigZone, "TXT")), b.told(named("h002."+bigZone, "TXT"))}
	b.exported(t, ids[0])
	b.exported(t, ids...)
	require.Len(t, b.newest(t).Delta.Sets, 3, "both, and the SOA")
	b.apply(t)
	b.alike(t)
	require.Equal(t, map[string]int{"made": 1, byItself: 1}, b.counts(t))
}

// Wherever the secondary stands, it comes to what the primary holds.
func TestASecondaryThatStandsElsewhere(t *testing.T) {
	b := newBigHosts(t, 0)
	base := b.newest(t)
	patched(t, rrset("h001."+bigZone, "TXT", `"first"`))
	b.exported(t, b.told(named("h001."+bigZone, "TXT")))
	patched(t, rrset("h002."+bigZone, "TXT", `"second"`))
	b.exported(t, b.told(named("h002."+bigZone, "TXT")))
	b.apply(t) // over the first, which it never had
	b.alike(t)
	require.Equal(t, 1, b.counts(t)[byItself])

	delta := b.newest(t)
	for _, before := range []struct {
		what    string
		applied pdns.Applied
		how     string
	}{
		{"stopped before it could note what it had changed", pdns.AppliedFrom(base, time.Now()), byItself},
		{"another base", pdns.Applied{Zone: bigZone, Version: base.Version - 1, Serial: base.Serial}, inFull},
		{"another serial", pdns.Applied{Zone: bigZone, Version: base.Version, Serial: base.Serial - 1}, inFull},
		{"distrusted", pdns.Applied{Zone: bigZone, Version: base.Version, Serial: base.Serial, Distrusted: true}, inFull},
	} {
		counted := b.counts(t)[before.how]
		state, err := applied.Open(t.TempDir(), slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		require.NoError(t, state.Set(before.applied))
		b.secondary.Applied = state
		b.apply(t)
		require.Equal(t, counted+1, b.counts(t)[before.how], before.what)
		b.alike(t)
		require.NoError(t, state.Close())
	}

	state, err := applied.Open(t.TempDir(), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	defer state.Close()
	b.secondary.Applied = state
	result, err := apply(b.secondary, bigZone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedCurrent, result.Outcome, "nothing noted, all held")
	require.Equal(t, delta.Version, result.Version)
}

// refusing is a PowerDNS that changes RRsets and then fails.
type refusing struct {
	activities.RRsetChanger
}

func (r refusing) Patch(ctx context.Context, zone string, sets []pdns.RRset) error {
	if err := r.RRsetChanger.Patch(ctx, zone, sets); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

func TestAChangeThatFailsIsBroughtInFull(t *testing.T) {
	b := newBigHosts(t, 0)
	b.secondary.Changer = refusing{b.secondary.Changer}
	patched(t, rrset("h001."+bigZone, "TXT", `"first"`))
	b.exported(t, b.told(named("h001."+bigZone, "TXT")))
	b.apply(t)
	b.alike(t)
	require.Equal(t, map[string]int{"made": 1, inFull: 1}, b.counts(t))
}

// Another primary's version, a signed zone: in full.
func TestNoDeltaFollows(t *testing.T) {
	b := newBigHosts(t, 0)
	id := b.primary.ID
	b.primary.ID = "primary-2"
	patched(t, rrset("h001."+bigZone, "TXT", `"first"`))
	result, err := export(b.primary, activities.ExportZoneInput{
		Zone: bigZone, Primary: "primary-2", Taken: true, Changes: []string{b.told(named("h001."+bigZone, "TXT"))},
	})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	require.False(t, b.newest(t).Unproven())
	b.primary.ID = id
	call(t, http.MethodPut, "/zones/"+bigZone, map[string]any{"dnssec": true})
	b.exported(t, b.told()) // newer than primary-2's
	_, err = export(b.primary, activities.ExportZoneInput{Zone: bigZone, Primary: "primary-1", Taken: true, Overrule: "primary-2"})
	require.NoError(t, err)
	require.True(t, b.newest(t).Signed)
	patched(t, rrset("h001."+bigZone, "TXT", `"second"`))
	b.exported(t, b.told(named("h001."+bigZone, "TXT")))
	require.False(t, b.newest(t).Unproven())
	require.Empty(t, b.counts(t), "neither made nor refused: these are no big zones whose changes could go byItself")
}

func TestADeltaIsAppliedAsItIsPublished(t *testing.T) {
	b := newBigHosts(t, 1)
	follower := b.follow(t)
	patched(t, rrset("h001."+bigZone, "TXT", `"first"`))
	b.exported(t, b.told(named("h001."+bigZone, "TXT")))
	delta := b.newest(t)
	follower.Published(delta, []byte{}, "") // as it comes: the content is its base's
	b.serves(t, bigZone, delta.Serial)
	result, err := apply(b.secondary, bigZone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedCurrent, result.Outcome)
	b.alike(t)
}
