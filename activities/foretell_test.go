package activities_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

const foretold = "foretold.example."

// foretelling is a zone that both hold and whose changes can be foretold.
type foretelling struct {
	hosts
	telling
	end      context.CancelFunc // of ahead
	registry *prometheus.Registry
	// other is another primary of the same database.
	other *activities.Primary
	// lagging is what this host knows of the zone, if that is not the newest version.
	lagging *activities.ExportZoneResult
}

func newForetelling(t *testing.T, number int, settings map[string]any) *foretelling {
	t.Helper()
	f := &foretelling{hosts: newHostsWith(t, number), registry: prometheus.NewRegistry()}
	f.primary.Metrics = activities.NewPrimaryMetrics(f.registry)
	f.primary.Guard.MayHold = func(string) bool { return false }
	f.primary.Answers = &query.Client{Uncached: true}
	other := *f.primary
	other.ID = "primary-2"
	f.other = &other
	ctx, cancel := context.WithCancel(t.Context())
	f.end = cancel
	f.telling = telling{zone: foretold, ahead: activities.NewAhead(ctx, f.primary, func(zone string) (pdns.Version, uint64, bool) {
		if f.lagging != nil {
			return f.lagging.Version, f.lagging.Revision, true
		}
		v, revision, err := f.store.Newest(context.WithoutCancel(t.Context()), zone)
		return v, revision, err == nil
	})}
	makeZone(t, foretold, map[string]any{"soa_edit_api": "INCREASE"}, settings)
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.1"), rrset("deep.b."+foretold, "A", "192.0.2.1"))
	f.exported(t, f.told(named("a."+foretold, "A"), named("deep.b."+foretold, "A"))) // by a look at all of it
	f.applied(t)
	require.Empty(t, f.counts(t))
	return f
}

// patched makes one call of the API, past the proxy.
func (f *foretelling) patched(t *testing.T, sets ...any) {
	t.Helper()
	call(t, http.MethodPatch, "/zones/"+foretold, map[string]any{"rrsets": sets})
}

// exported waits until changes are exported, and compares what was published with
// what the primary holds.
func (f *foretelling) exported(t *testing.T, ids ...string) activities.ExportZoneResult {
	t.Helper()
	result, err := export(f.primary, activities.ExportZoneInput{Zone: foretold, Primary: f.primary.ID, Changes: ids})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, result.Outcome)
	holds, err := transfer.DigestOf(t.Context(), f.primary.DNSAddress, foretold)
	require.NoError(t, err)
	require.Equal(t, holds.Digest, result.Version.Digest)
	require.Equal(t, holds.Serial, result.Version.Serial)
	return result
}

func (f *foretelling) applied(t *testing.T) {
	t.Helper()
	_, err := apply(f.secondary, foretold)
	require.NoError(t, err)
	equalContent(t, f.hosts, foretold)
}

// counts are the foretold versions so far, by what was found of them.
func (f *foretelling) counts(t *testing.T) map[string]float64 {
	t.Helper()
	counts := make(map[string]float64)
	for _, result := range []string{"right", "more", "unread"} {
		if n := counters(t, f.registry)["pdnsdist_foretold_total "+result]; n > 0 {
			counts[result] = n
		}
	}
	return counts
}

func TestAChangeIsForetold(t *testing.T) {
	for number, backend := range []string{"SQLite", "LMDB"} {
		t.Run(backend, func(t *testing.T) {
			f := newForetelling(t, number, nil)
			for i, step := range []struct {
				what  string
				sets  []any
				hints []pdns.RRsetName
			}{
				{"a value", []any{rrset("a."+foretold, "A", "192.0.2.9", "192.0.2.10")}, []pdns.RRsetName{named("a."+foretold, "A")}},
				{"a text", []any{rrset(foretold, "TXT", `"v=1; \"x\" \\ \195\164"`, `"b" "c"`)}, []pdns.RRsetName{named(foretold, "TXT")}},
				{"a name comes", []any{rrset("_acme-challenge.a."+foretold, "TXT", `"token"`)}, []pdns.RRsetName{named("_acme-challenge.a."+foretold, "TXT")}},
				{"and goes", []any{gone("_acme-challenge.a."+foretold, "TXT")}, []pdns.RRsetName{named("_acme-challenge.a."+foretold, "TXT")}},
				{
					"a CNAME for an address", []any{gone("a."+foretold, "A"), rrset("a."+foretold, "CNAME", "b."+foretold)},
					[]pdns.RRsetName{named("a."+foretold, "A"), named("a."+foretold, "CNAME")},
				},
				{"more than is asked by UDP", []any{rrset("a."+foretold, "CNAME", "c."+foretold), many(foretold, 100)}, []pdns.RRsetName{named("a."+foretold, "CNAME"), named(foretold, "A")}},
			} {
				f.patched(t, step.sets...)
				f.exported(t, f.told(step.hints...))
				require.Equal(t, map[string]float64{"right": float64(i + 1)}, f.counts(t), step.what)
				f.applied(t)
			}
		})
	}
}

// many is an RRset of so many addresses.
func many(name string, count int) any {
	addresses := make([]string, count)
	for i := range addresses {
		addresses[i] = fmt.Sprintf("192.0.2.%d", i)
	}
	return rrset(name, "A", addresses...)
}

// What cannot be foretold is read as a whole before it is published.
func TestWhatIsNotForetold(t *testing.T) {
	value := func(t *testing.T, f *foretelling) []pdns.RRsetName {
		f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"))
		return []pdns.RRsetName{named("a."+foretold, "A")}
	}
	for _, c := range []struct {
		what     string
		settings map[string]any
		change   func(t *testing.T, f *foretelling) []pdns.RRsetName
	}{
		{"a call that does not say what it changed", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			value(t, f)
			return nil
		}},
		{"many RRsets", nil, func(t *testing.T, f *foretelling) (hints []pdns.RRsetName) {
			var sets []any
			for i := range 5 {
				name := fmt.Sprintf("h%d.%s", i, foretold)
				sets, hints = append(sets, rrset(name, "A", "192.0.2.1")), append(hints, named(name, "A"))
			}
			f.patched(t, sets...)
			return hints
		}},
		{"another call, that nobody told of", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.patched(t, rrset("c."+foretold, "A", "192.0.2.1"))
			return value(t, f)
		}},
		{"serials that do not count calls", map[string]any{"soa_edit_api": ""}, value},
		{"an empty non-terminal", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.patched(t, gone("deep.b."+foretold, "A"))
			return []pdns.RRsetName{named("deep.b."+foretold, "A")}
		}},
		{"a delegation", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.patched(t, rrset("c."+foretold, "NS", "ns.example."))
			return []pdns.RRsetName{named("c."+foretold, "NS")}
		}},
		{"a wildcard may be what answers", map[string]any{"rrsets": []any{rrset("*."+foretold, "A", "192.0.2.77")}}, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.patched(t, gone("a."+foretold, "A"))
			return []pdns.RRsetName{named("a."+foretold, "A")}
		}},
		{"a change may be held", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.primary.Guard.MayHold = func(string) bool { return true }
			return value(t, f)
		}},
		{"another primary has published since", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.patched(t, rrset("c."+foretold, "A", "192.0.2.1"))
			_, err := export(f.other, activities.ExportZoneInput{Zone: foretold, Primary: f.other.ID, Taken: true})
			require.NoError(t, err)
			return value(t, f)
		}},
		{"another primary has published since, and this host does not know yet", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			known, err := export(f.primary, activities.ExportZoneInput{Zone: foretold})
			require.NoError(t, err)
			f.lagging = &known
			_, err = export(f.other, activities.ExportZoneInput{Zone: foretold, Primary: f.other.ID, Above: known.Version.Version})
			require.NoError(t, err)
			return value(t, f)
		}},
		{"a call that was read before, and one that nobody told of yet", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			hints := value(t, f)
			_, err := export(f.primary, activities.ExportZoneInput{Zone: foretold})
			require.NoError(t, err)
			f.patched(t, rrset("c."+foretold, "A", "192.0.2.1"))
			return hints
		}},
		{"it was signed meanwhile", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			call(t, http.MethodPost, "/zones/"+foretold+"/cryptokeys", map[string]any{"keytype": "csk", "active": true})
			return value(t, f)
		}},
		{"PowerDNS cannot answer", nil, func(t *testing.T, f *foretelling) []pdns.RRsetName {
			f.primary.Answers = failing{f.primary.Answers}
			return value(t, f)
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			f := newForetelling(t, 0, c.settings)
			f.exported(t, f.told(c.change(t, f)...))
			require.Empty(t, f.counts(t))
			f.applied(t)
		})
	}
}

// failing answers as a PowerDNS does that cannot read its database now.
type failing struct{ activities.SigningAsker }

func (f failing) SignedSet(ctx context.Context, server, name string, rrtype uint16) (query.SignedSet, error) {
	if rrtype == dns.TypeSOA {
		return f.SigningAsker.SignedSet(ctx, server, name, rrtype)
	}
	return query.SignedSet{Rcode: dns.RcodeServerFailure, Authoritative: true}, nil
}

// What else has changed is found as soon as the zone is read, also at the same serial.
func TestAForetoldVersionIsCompletedByTheRead(t *testing.T) {
	f := newForetelling(t, 0, nil)
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"), rrset("c."+foretold, "A", "192.0.2.9"))
	change := f.told(named("a."+foretold, "A"))
	require.True(t, f.ahead.Settled(t.Context(), foretold, change))
	_, err := apply(f.secondary, foretold)
	require.NoError(t, err)
	f.exported(t, change)
	require.Equal(t, map[string]float64{"more": 1}, f.counts(t))
	f.applied(t)
}

// While nobody has read the zone, the sync that the change asks for does so itself.
func TestAForetoldVersionDoesNotCountAsExported(t *testing.T) {
	f := newForetelling(t, 0, nil)
	f.primary.Answers = elsewhere{f.primary.Answers, f.primary.DNSAddress}
	f.primary.DNSAddress = "127.0.0.1:1"
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"))
	change := f.told(named("a."+foretold, "A"))
	require.True(t, f.ahead.Settled(t.Context(), foretold, change), "published")
	_, err := export(f.primary, activities.ExportZoneInput{Zone: foretold, Primary: f.primary.ID, Changes: []string{change}})
	require.ErrorContains(t, err, "127.0.0.1:1", "looked itself")
	require.Equal(t, map[string]float64{"unread": 1}, f.counts(t))
}

// elsewhere asks another server than it is told to.
type elsewhere struct {
	activities.SigningAsker
	server string
}

func (e elsewhere) SignedSet(ctx context.Context, _, name string, rrtype uint16) (query.SignedSet, error) {
	return e.SigningAsker.SignedSet(ctx, e.server, name, rrtype)
}

// A change that comes before the zone is read is covered by that, and needs no export of its own.
func TestAChangeBeforeTheReadIsCoveredByIt(t *testing.T) {
	f := newForetelling(t, 0, nil)
	before, _, err := f.store.Newest(t.Context(), foretold)
	require.NoError(t, err)
	second := make(chan string, 1)
	f.primary.Answers = &meanwhile{SigningAsker: f.primary.Answers, then: func() {
		f.primary.Timing.MinInterval = time.Hour // no other export comes
		f.patched(t, rrset("c."+foretold, "A", "192.0.2.9"))
		second <- f.told(named("c."+foretold, "A"))
	}}
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"))
	first := f.told(named("a."+foretold, "A"))
	result := f.exported(t, first, <-second)
	require.Equal(t, before.Serial+2, result.Version.Serial)
	require.Equal(t, map[string]float64{"more": 1}, f.counts(t))
	f.applied(t)
}

// meanwhile does something once PowerDNS has answered for the SOA.
type meanwhile struct {
	activities.SigningAsker
	then func()
}

func (m *meanwhile) SignedSet(ctx context.Context, server, name string, rrtype uint16) (query.SignedSet, error) {
	answer, err := m.SigningAsker.SignedSet(ctx, server, name, rrtype)
	if rrtype == dns.TypeSOA {
		m.then()
	}
	return answer, err
}

// What was joined before the read and changed nothing is looked at again where something else was published: nothing kept an
// export that had read the zone before from that.
func TestAChangeBeforeTheReadMayHaveChangedNothing(t *testing.T) {
	f := newForetelling(t, 0, nil)
	second := make(chan string, 1)
	f.primary.Answers = &meanwhile{SigningAsker: f.primary.Answers, then: func() { second <- f.told() }}
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"))
	change := f.told(named("a."+foretold, "A"))
	ids := []string{change, <-second}
	in := activities.ExportZoneInput{Zone: foretold, Primary: f.primary.ID, Changes: ids}
	unchanged, err := export(f.primary, in)
	require.NoError(t, err)
	require.Equal(t, activities.ExportUnchanged, unchanged.Outcome)
	require.Equal(t, map[string]float64{"right": 1}, f.counts(t))

	tombstone := pdns.Version{Zone: foretold, Version: unchanged.Version.Version + 1, Deleted: true, Publisher: f.primary.ID}
	_, err = f.store.Publish(t.Context(), tombstone, nil, unchanged.Revision)
	require.NoError(t, err)
	f.exported(t, ids...)
}

// A zone that is deleted before the read is gone.
func TestADeletionBeforeTheRead(t *testing.T) {
	f := newForetelling(t, 0, nil)
	second := make(chan string, 1)
	f.primary.Answers = &meanwhile{SigningAsker: f.primary.Answers, then: func() {
		call(t, http.MethodDelete, "/zones/"+foretold, nil)
		f.ahead.Changed(pdns.Call{Zone: foretold, Kind: pdns.ChangeDelete, ChangeID: "delete"})
		second <- "delete"
	}}
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"))
	change := f.told(named("a."+foretold, "A"))
	result, err := export(f.primary, activities.ExportZoneInput{Zone: foretold, Primary: f.primary.ID, Changes: []string{change, <-second}})
	require.NoError(t, err)
	require.True(t, result.Version.Deleted)
	applied, err := apply(f.secondary, foretold)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedDelete, applied.Outcome)
}

// A process that ends before the read lets nobody wait for that.
func TestTheEndBeforeTheRead(t *testing.T) {
	f := newForetelling(t, 0, nil)
	f.patched(t, rrset("a."+foretold, "A", "192.0.2.9"))
	change := f.told(named("a."+foretold, "A"))
	require.True(t, f.ahead.Settled(t.Context(), foretold, change))
	f.end()
	_, err := export(f.primary, activities.ExportZoneInput{Zone: foretold, Primary: f.primary.ID, Changes: []string{change}})
	require.NoError(t, err)
}
