package activities_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// flushTest is a secondary whose flushes are noted, and may fail or wait.
type flushTest struct {
	*testing.T
	hosts
	made int

	*api.Client
	// busy has it tell more queries than there are.
	busy    bool
	queries uint64

	mu      sync.Mutex
	before  func(zone string) error
	flushed []string
}

func newFlushTest(t *testing.T, number int) *flushTest {
	h := newHostsWith(t, number)
	f := &flushTest{T: t, hosts: h, Client: h.secondary.PowerDNS.(*api.Client), before: undisturbed}
	h.secondary.PowerDNS = f
	return f
}

func (f *flushTest) FlushCache(ctx context.Context, zone string) error {
	f.mu.Lock()
	f.flushed = append(f.flushed, zone)
	before := f.before
	f.mu.Unlock()
	if err := before(zone); err != nil {
		return err
	}
	return f.Client.FlushCache(ctx, zone)
}

// anew forgets what was flushed, and has this called before each flush from now on.
func (f *flushTest) anew(before func(zone string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.flushed, f.before = nil, before
}

// undisturbed lets flushes go on.
func undisturbed(string) error { return nil }

// flushes are those since it was called anew, of all that is cached and of single zones.
func (f *flushTest) flushes() (all int, zones []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, zone := range f.flushed {
		if zone == "." {
			all++
		} else {
			zones = append(zones, zone)
		}
	}
	return all, zones
}

func (f *flushTest) Queries(ctx context.Context) (uint64, error) {
	if !f.busy {
		return f.Client.Queries(ctx)
	}
	f.queries += 1e6
	return f.queries, nil
}

// publish publishes so many zones that the secondary was asked for already, and refused to answer for.
func (f *flushTest) publish(n int) (zones []string) {
	for range n {
		f.made++
		zone := fmt.Sprintf("z%d.flush.example.", f.made)
		makeZone(f.T, zone)
		zones = append(zones, zone)
		require.Equal(f, dns.RcodeRefused, f.ask(zone))
	}
	exportAll(f.T, f.primary, zones, pdns.NotProxied)
	return zones
}

func (f *flushTest) ask(zone string) (rcode int) {
	answer, _, err := new(dns.Client).ExchangeContext(f.Context(), new(dns.Msg).SetQuestion("www."+zone, dns.TypeA), f.secondary.DNSAddress)
	require.NoError(f, err)
	return answer.Rcode
}

// bring brings all of these zones, several at a time, and wants what was answered before not to be answered any more.
func (f *flushTest) bring(zones []string) {
	applied, err := run[activities.ZonesResult](f.secondary, f.secondary.ApplyZones, activities.ZonesInput{Zones: zones})
	require.NoError(f, err)
	require.Equal(f, map[string]int{activities.AppliedNow: len(zones)}, applied.Outcomes)
	for _, zone := range zones {
		require.NotEqual(f, dns.RcodeRefused, f.ask(zone))
	}
}

// Zones that are made together share a flush of PowerDNS's cache, but where it is busy. Either is followed by another one: an answer
// that was begun before a zone was made may be cached after PowerDNS has purged its cache.
func TestNewZonesShareAFlush(t *testing.T) {
	for number, backend := range []string{"SQLite", "LMDB"} {
		t.Run(backend, func(t *testing.T) {
			f := newFlushTest(t, number)
			shared := 0
			eventually.True(t, "zones share a flush", func() bool { // at first it is not known how much is asked
				f.bring(f.publish(20))
				shared, _ = f.flushes()
				return shared > 0
			})
			eventually.True(t, "all is flushed once more", func() bool {
				all, _ := f.flushes()
				return all > shared
			})
			f.anew(func(zone string) error {
				if zone == "." {
					return errors.New("503")
				}
				return nil
			})
			zones := f.publish(20)
			f.bring(zones)
			_, single := f.flushes()
			require.Subset(t, single, zones)
		})
		t.Run(backend+"/busy", func(t *testing.T) {
			f := newFlushTest(t, number)
			f.busy = true
			for range 3 {
				f.bring(f.publish(20))
			}
			all, _ := f.flushes()
			require.Zero(t, all)
			zones := f.publish(1)
			f.bring(zones)
			f.anew(undisturbed)
			eventually.True(t, "the last one is flushed once more", func() bool {
				_, single := f.flushes()
				return slices.Contains(single, zones[0])
			})
		})
	}
}

// distrusted counts what is noted of zones by whether that is known to be served.
func (f *flushTest) distrusted() map[bool]int {
	noted, err := f.secondary.Applied.All()
	require.NoError(f.T, err)
	counts := make(map[bool]int)
	for _, a := range noted {
		counts[a.Distrusted]++
	}
	return counts
}

// A zone counts as applied once its flush has ended, not before.
func TestNewZonesWaitForTheirFlush(t *testing.T) {
	f := newFlushTest(t, 0)
	zones := f.publish(12) // twice as many as are at PowerDNS at a time
	flush := make(chan struct{})
	f.anew(func(string) error { <-flush; return nil })
	brought := make(chan error)
	go func() {
		_, err := run[activities.ZonesResult](f.secondary, f.secondary.ApplyZones, activities.ZonesInput{Zones: zones})
		brought <- err
	}()
	eventually.True(t, "all are made", func() bool {
		made := 0
		for zone, err := range f.Zones(t.Context()) {
			require.NoError(t, err)
			if slices.Contains(zones, zone.Name) {
				made++
			}
		}
		return made == len(zones)
	})
	require.Equal(t, map[bool]int{true: 12}, f.distrusted())
	close(flush)
	require.NoError(t, <-brought)
	require.Equal(t, map[bool]int{false: 12}, f.distrusted())
}

// Where the flush fails, or the worker did not come to it, nothing that a look at the zone shows tells that it is not answered for:
// it is transferred.
func TestANewZoneWithoutItsFlushIsBroughtAgain(t *testing.T) {
	f := newFlushTest(t, 0)
	for why, fault := range map[string]func() (mend func()){
		"503": func() func() {
			f.anew(func(string) error { return errors.New("503") })
			return func() { f.anew(undisturbed) }
		},
		"no answer": func() func() {
			asks := f.secondary.DNS
			f.secondary.DNS = askerFunc(func(context.Context, string, string) (query.Answer, error) {
				return query.Answer{}, errors.New("no answer")
			})
			return func() { f.secondary.DNS = asks }
		},
	} {
		zone := f.publish(1)[0]
		mend := fault()
		_, err := apply(f.secondary, zone)
		require.ErrorContains(t, err, why)
		mend()
		result, err := apply(f.secondary, zone)
		require.NoError(t, err, why)
		require.Equal(t, activities.AppliedNow, result.Outcome, why)
		require.NotEqual(t, dns.RcodeRefused, f.ask(zone), why)
	}
}

// An answer that was begun before a zone was deleted may be cached after PowerDNS has purged its cache.
func TestTheCacheIsFlushedOnceMoreAfterADeletion(t *testing.T) {
	f := newFlushTest(t, 0)
	zone := f.publish(1)[0]
	f.bring([]string{zone})
	lost(t, zone)
	_, err := export(f.primary, activities.ExportZoneInput{Zone: zone, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	f.anew(undisturbed)
	applied, err := apply(f.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedDelete, applied.Outcome)
	eventually.True(t, "the cache is flushed", func() bool {
		_, single := f.flushes()
		return slices.Contains(single, zone)
	})
}
