package pdns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestHowASerialMoved(t *testing.T) {
	today := time.Date(2026, 3, 7, 23, 59, 0, 0, time.UTC)
	for _, c := range []struct {
		kind         string
		last, serial uint32
		calls        int
		want         pdns.SerialMoved
	}{
		{"INCREASE", 7, 8, 1, pdns.MovedByThese},
		{"increase", 7, 10, 3, pdns.MovedByThese},
		{"INCREASE", 7, 9, 1, pdns.MovedFurther},
		{"INCREASE", 7, 7, 1, pdns.MovedOtherwise},
		{"INCREASE", 7, 8, 2, pdns.MovedOtherwise},
		{"INCREASE", 7, 6, 1, pdns.MovedOtherwise},
		{"INCREASE", 7, 7, 0, pdns.MovedOtherwise},
		{"INCREASE", 1<<32 - 1, 0, 1, pdns.MovedByThese},
		{"INCREASE", 1<<32 - 1, 1, 1, pdns.MovedFurther},
		{"SOA-EDIT-INCREASE", 7, 8, 1, pdns.MovedByThese},
		{"DEFAULT", 2026030701, 2026030702, 1, pdns.MovedByThese},
		{"DEFAULT", 2026030599, 2026030701, 1, pdns.MovedByThese},
		{"DEFAULT", 2026030599, 2026030703, 3, pdns.MovedByThese},
		{"DEFAULT", 2026030599, 2026030600, 1, pdns.MovedOtherwise},
		{"DEFAULT", 2026030599, 2026030703, 1, pdns.MovedFurther},
		{"DEFAULT", 2026030899, 2026030900, 1, pdns.MovedByThese},
		{"DEFAULT", 2100000000, 2100000001, 1, pdns.MovedByThese},
		{"EPOCH", 7, 8, 1, pdns.MovedOtherwise},
		{"SOA-EDIT", 7, 8, 1, pdns.MovedOtherwise},
		{"OFF", 7, 8, 1, pdns.MovedOtherwise},
		{"", 7, 8, 1, pdns.MovedOtherwise},
	} {
		require.Equal(t, c.want, pdns.SerialAfter(c.last, c.serial, c.calls, c.kind, today), "%+v", c)
	}
}

func TestWhichVersionsADeltaMayFollow(t *testing.T) {
	big := pdns.Version{Zone: "example.org.", Version: 5, Publisher: "primary-1", Object: "object"}
	with := func(change func(*pdns.Version)) pdns.Version {
		v := big
		change(&v)
		return v
	}
	require.Empty(t, big.HasBase("primary-1"))
	for why, v := range map[string]pdns.Version{
		"another primary published the last version": with(func(v *pdns.Version) { v.Publisher = "primary-2" }),
		"the zone was deleted":                       with(func(v *pdns.Version) { v.Deleted = true }),
		"the zone is signed":                         with(func(v *pdns.Version) { v.Signed = true }),
		"the zone is small":                          with(func(v *pdns.Version) { v.Object = "" }),
	} {
		require.Equal(t, why, v.HasBase("primary-1"))
	}
	for step := range pdns.MaxDeltaSteps {
		require.Empty(t, big.HasBase("primary-1"))
		var err error
		big, err = big.Follow(int64(step)+6, uint32(step)+1, []pdns.RRset{{Name: "example.org.", Type: "SOA"}})
		require.NoError(t, err)
	}
	require.Equal(t, "enough deltas have followed the last full export", big.HasBase("primary-1"))
	_, err := big.Follow(1000, 1000, []pdns.RRset{{Name: "example.org.", Type: "TXT", Records: []string{strings.Repeat("x", pdns.MaxDeltaSize)}}})
	require.ErrorContains(t, err, "larger than 65536 octets")
}

// A delta holds all that has changed since its base, each RRset as it is now.
func TestADeltaFollowsADelta(t *testing.T) {
	set := func(name, content string) pdns.RRset {
		s := pdns.RRset{Name: name + ".example.org.", Type: "A", TTL: 60}
		if content != "" {
			s.Records = []string{content}
		}
		return s
	}
	base := pdns.Version{Zone: "example.org.", Version: 5, Serial: 50, Digest: "digest", Object: "object", Records: 9, Plain: 8, Size: 7, Publisher: "primary-1"}
	first, err := base.Follow(6, 60, []pdns.RRset{set("a", "192.0.2.1"), set("b", "192.0.2.1")})
	require.NoError(t, err)
	before := fmt.Sprint(first.Delta.Sets, first.Delta.Chain)
	second, err := first.Follow(7, 70, []pdns.RRset{set("a", ""), set("c", "192.0.2.3")})
	require.NoError(t, err)
	require.Equal(t, before, fmt.Sprint(first.Delta.Sets, first.Delta.Chain), "the one before stays as it is")

	require.True(t, second.Unproven())
	require.Empty(t, second.Digest+second.Object)
	require.Zero(t, second.Size)
	require.Equal(t, []int{9, 8}, []int{second.Records, second.Plain})
	require.Equal(t, pdns.Version{Zone: "example.org.", Version: 5, Object: "object"}, second.BaseVersion())
	require.Equal(t, []pdns.DeltaStep{{5, 50}, {6, 60}}, second.Delta.Chain)
	names := func(sets []pdns.RRset) (names []string) {
		for _, s := range sets {
			names = append(names, fmt.Sprint(s.Name, s.Records))
		}
		return names
	}
	require.Equal(t, []string{"a.example.org.[]", "b.example.org.[192.0.2.1]", "c.example.org.[192.0.2.3]"}, names(second.Delta.Since(5)), "what goes comes first")
	require.Equal(t, []string{"a.example.org.[]", "c.example.org.[192.0.2.3]"}, names(second.Delta.Since(6)))
	require.Empty(t, second.Delta.Since(7))

	for _, c := range []struct {
		applied pdns.Applied
		applies bool
	}{
		{pdns.Applied{Version: 5, Serial: 50}, true},
		{pdns.Applied{Version: 6, Serial: 60}, true},
		{pdns.Applied{Version: 6, Serial: 50}, false},
		{pdns.Applied{Version: 7, Serial: 70}, false},
		{pdns.Applied{Version: 4, Serial: 50}, false},
		{pdns.Applied{Version: 5, Serial: 50, Deleted: true}, false},
		{pdns.Applied{Version: 5, Serial: 50, Distrusted: true}, false},
		{pdns.Applied{}, false},
	} {
		require.Equal(t, c.applies, second.Delta.AppliesTo(c.applied), "%+v", c.applied)
	}
	require.True(t, second.Holds("object"), "its base must be kept")
	require.False(t, second.Holds("another"))
	require.False(t, second.Holds(""))
	require.False(t, second.SameContent(second), "nobody has read it")
	require.Empty(t, second.WithoutSets().Delta.Sets)
	require.True(t, second.WithoutSets().Unproven())
	require.False(t, second.WithoutDelta().Unproven())
	require.NotEmpty(t, second.Delta.Sets)
}

func TestWhatCanBeChangedAlone(t *testing.T) {
	for _, kind := range []string{"A", "AAAA", "CAA", "CNAME", "HTTPS", "MX", "PTR", "SRV", "SVCB", "TLSA", "TXT"} {
		require.Empty(t, pdns.Patchable("example.org.", pdns.RRsetName{Name: "www.example.org.", Type: kind}), kind)
		require.Empty(t, pdns.Lone("example.org.", "www.example.org.", []pdns.RRset{{Type: kind}}), kind)
	}
	for _, kind := range []string{
		"NS", "DS", "DNAME", "SOA", "LUA", "ALIAS", "RRSIG", "NSEC", "NSEC3", "NSEC3PARAM", "DNSKEY", "CDS", "CDNSKEY", "CSYNC", "ZONEMD", "KEY", "SIG", "TYPE65534", "a", "",
	} {
		require.NotEmpty(t, pdns.Patchable("example.org.", pdns.RRsetName{Name: "www.example.org.", Type: kind}), kind)
		require.NotEmpty(t, pdns.Lone("example.org.", "www.example.org.", []pdns.RRset{{Type: "A"}, {Type: kind}}), kind)
	}
	for _, name := range []string{"example.com.", "notexample.org.", "org."} {
		require.Equal(t, "a name outside the zone changes", pdns.Patchable("example.org.", pdns.RRsetName{Name: name, Type: "A"}))
	}
	require.Empty(t, pdns.Lone("example.org.", "example.org.", []pdns.RRset{{Type: "SOA"}, {Type: "NS"}, {Type: "MX"}}))
	require.NotEmpty(t, pdns.Lone("example.org.", "example.org.", []pdns.RRset{{Type: "SOA"}, {Type: "ALIAS"}}))
	require.True(t, pdns.Delegates([]pdns.RRset{{Type: "A"}, {Type: "NS"}}))
	require.True(t, pdns.Delegates([]pdns.RRset{{Type: "DNAME"}}))
	require.False(t, pdns.Delegates([]pdns.RRset{{Type: "A"}}))
}

func TestNamesBetween(t *testing.T) {
	for name, want := range map[string][]string{
		"example.org.":               nil,
		"www.example.org.":           nil,
		"a.b.example.org.":           {"b.example.org."},
		"a.b.c.example.org.":         {"b.c.example.org.", "c.example.org."},
		`a\.b.c.example.org.`:        {"c.example.org."},
		"a.example.org.":             nil,
		"a.example.org.example.org.": {"example.org.example.org.", "org.example.org."},
	} {
		require.Equal(t, want, pdns.Between("example.org.", name), name)
	}
	require.Equal(t, []string{"b."}, pdns.Between(".", "a.b."))
}

func TestRecordsOfAnRRset(t *testing.T) {
	for _, c := range []struct {
		name, kind, content string
		want                string // empty where it must not be read
	}{
		{"www.example.org.", "A", "192.0.2.1", "www.example.org.\t60\tIN\tA\t192.0.2.1"},
		{`a\.b.example.org.`, "TXT", `"a;b" "\"c\\"`, `a\.b.example.org.` + "\t60\tIN\tTXT\t" + `"a;b" "\"c\\"`},
		{"*.example.org.", "MX", "10 MX.example.org.", "*.example.org.\t60\tIN\tMX\t10 MX.example.org."},
		{"www.example.org.", "A", "192.0.2.1.5", ""},
		{"www.example.org.", "A", "192.0.2.1\nother.example. 60 IN A 192.0.2.2", ""},
		{"www.example.org.", "A", "", ""},
		{"www.example.org.", "LUA", `A "1"`, ""},
		{"$INCLUDE", "A", "/etc/hostname", ""},
	} {
		set := pdns.RRset{Name: c.name, Type: c.kind, TTL: 60, Records: []string{c.content}}
		rrs, err := set.RRs()
		if c.want == "" {
			require.Error(t, err, "%+v", c)
			continue
		}
		require.NoError(t, err)
		require.Len(t, rrs, 1)
		require.Equal(t, c.want, rrs[0].String())
	}
	rrs, err := pdns.RRset{Name: "www.example.org.", Type: "A"}.RRs()
	require.NoError(t, err)
	require.Empty(t, rrs)
}
