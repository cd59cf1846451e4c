package activities_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// listing and answering are a roster and what Consul says, as a test wants them.
type (
	listing   []pdns.Secondary
	answering map[string]bool
)

func (l listing) List(context.Context) ([]pdns.Secondary, error) { return l, nil }

func (a answering) Reachable(context.Context) (map[string]bool, error) { return a, nil }

func TestDiscoverSecondaries(t *testing.T) {
	d := &activities.Directory{
		Roster:   listing{{ID: "paused", Paused: true}, {ID: "b", DNSAddress: "192.0.2.2:53"}, {ID: "a"}},
		Presence: answering{"b": true, "paused": true, "z": true, "new": true, "ill": false},
	}
	found, err := run[activities.DiscoverSecondariesResult](d, d.DiscoverSecondaries, activities.DiscoverSecondariesInput{})
	require.NoError(t, err)
	require.Equal(t, activities.DiscoverSecondariesResult{
		Targets: []activities.Target{{ID: "a"}, {ID: "b", DNSAddress: "192.0.2.2:53", Reachable: true}}, Missing: []string{"new", "z"},
	}, found)
}
