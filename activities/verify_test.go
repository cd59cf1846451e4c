package activities_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/query"
)

// serialOne is what is newest of every zone.
type serialOne struct{}

func (serialOne) Newest(_ context.Context, zone string) (pdns.Version, uint64, error) {
	return pdns.Version{Zone: zone, Version: 1, Serial: 1}, 1, nil
}

type askerFunc func(ctx context.Context, server, zone string) (query.Answer, error)

func (f askerFunc) SOA(ctx context.Context, server, zone string) (query.Answer, error) {
	return f(ctx, server, zone)
}

func current(zone string) query.Answer {
	return query.Answer{Authoritative: true, Owner: zone, Serial: 1}
}

func TestSilentTargetsOfABatchAreNotWaitedForAgain(t *testing.T) {
	var mu sync.Mutex
	asked := make(map[string]int)
	verifier := &activities.Verifier{Versions: serialOne{}, DNS: askerFunc(func(_ context.Context, server, zone string) (query.Answer, error) {
		mu.Lock()
		asked[server]++
		mu.Unlock()
		if server == "silent" {
			return query.Answer{}, errors.New("no answer")
		}
		return current(zone), nil
	})}
	in := activities.VerifyZonesInput{Targets: []activities.Target{{ID: "a", DNSAddress: "silent"}, {ID: "b", DNSAddress: "there"}}}
	for i := range 250 {
		in.Zones = append(in.Zones, fmt.Sprintf("z%d.example.", i))
	}
	result, err := run[activities.ZonesResult](verifier, verifier.VerifyZones, in)
	require.NoError(t, err)
	require.Empty(t, result.Alone)
	require.Equal(t, map[string]int{string(pdns.ServedSilent): 250, string(pdns.ServedCurrent): 250}, result.Outcomes)
	require.Equal(t, 250, asked["there"])
	require.LessOrEqual(t, asked["silent"], 32, "those that were on their way at once")
}

// reachable are the secondaries that Consul says are there; nil where it does not answer.
type reachable map[string]bool

func (r reachable) Reachable(context.Context) (map[string]bool, error) {
	if r == nil {
		return nil, errors.New("Consul is away")
	}
	return r, nil
}

// One that was absent is asked once it is back, or where nobody knows.
func TestAbsentTargetsOfABatchAreNotAsked(t *testing.T) {
	for _, test := range []struct {
		there reachable
		alone []string
	}{
		{reachable{"b": true}, nil},
		{reachable{"a": true, "b": true}, []string{"z.example."}},
		{nil, []string{"z.example."}},
	} {
		verifier := &activities.Verifier{Versions: serialOne{}, Presence: test.there, DNS: askerFunc(func(_ context.Context, server, zone string) (query.Answer, error) {
			answer := current(zone)
			if server == "old" {
				answer.Serial = 0
			}
			return answer, nil
		})}
		result, err := run[activities.ZonesResult](verifier, verifier.VerifyZones, activities.VerifyZonesInput{
			Zones: []string{"z.example."}, Absent: []string{"a"}, Targets: []activities.Target{{ID: "a", DNSAddress: "old"}, {ID: "b", DNSAddress: "new"}},
		})
		require.NoError(t, err)
		require.Equal(t, test.alone, result.Alone, "%v are there", test.there)
		require.Equal(t, 1, result.Outcomes[string(pdns.ServedCurrent)])
	}
}

func TestAZonesTargetsAreAskedAtOnce(t *testing.T) {
	var both sync.WaitGroup
	both.Add(2)
	verifier := &activities.Verifier{Versions: serialOne{}, DNS: askerFunc(func(_ context.Context, _, zone string) (query.Answer, error) {
		both.Done()
		both.Wait()
		return current(zone), nil
	})}
	result, err := run[activities.ZonesResult](verifier, verifier.VerifyZones, activities.VerifyZonesInput{
		Zones: []string{"a.example."}, Targets: []activities.Target{{ID: "a"}, {ID: "b"}},
	})
	require.NoError(t, err)
	require.Equal(t, 2, result.Outcomes[string(pdns.ServedCurrent)])
}

// A newer version that is served before the sync has got its change is not outdated.
func TestANewerVersionIsNotOutdated(t *testing.T) {
	verifier := &activities.Verifier{Versions: serialOne{}, DNS: askerFunc(func(_ context.Context, _, zone string) (query.Answer, error) {
		return current(zone), nil
	})}
	result, err := run[activities.VerifyZoneResult](verifier, verifier.VerifyZone, activities.VerifyZoneInput{
		Version: pdns.Version{Zone: "a.example.", Version: 0, Serial: 99}, Targets: []activities.Target{{ID: "a"}},
	})
	require.NoError(t, err)
	require.Equal(t, pdns.ServedCurrent, result.Served[0].State)
}
