package activities_test

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

// heldUp makes no zone before it may, and says which one it is about to make.
type heldUp struct {
	*api.Client
	making chan string
	goOn   chan struct{}
}

func (h heldUp) CreateFilledZone(ctx context.Context, zone, master, account, text string, hollow bool) error {
	h.making <- zone
	<-h.goOn
	return h.Client.CreateFilledZone(ctx, zone, master, account, text, hollow)
}

// fetched tells which zones' versions were asked for, and that they are there.
type fetched struct {
	activities.Subscriber
	zones chan string
}

func (f fetched) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	v, content, err := f.Subscriber.Fetch(ctx, zone)
	f.zones <- zone
	return v, content, err
}

// However many zones of one batch wait for their turn, those of another come between them.
func TestASmallBatchDoesNotWaitForALargeOne(t *testing.T) {
	f := newFlushTest(t, 0)
	const large = 40
	zones := f.publish(large + 1)
	small := zones[large]
	held := heldUp{f.Client, make(chan string, large+1), make(chan struct{})}
	asked := make(chan string, 3*(large+1)) // each again once it is brought
	f.secondary.PowerDNS, f.secondary.Versions = held, fetched{f.store, asked}
	ended := make(chan error, 2)
	begin := func(zones ...string) {
		go func() {
			_, err := run[activities.ZonesResult](f.secondary, f.secondary.ApplyZones, activities.ZonesInput{Zones: zones})
			ended <- err
		}()
	}
	begin(zones[:large]...)
	for range large { // none is brought before it may
		<-asked
	}
	begin(small)
	require.Equal(t, small, <-asked)
	made := []string{<-held.making}
	for made[len(made)-1] != small && len(made) < large {
		held.goOn <- struct{}{}
		made = append(made, <-held.making)
	}
	close(held.goOn)
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
	require.Less(t, len(made), large/2, strings.Join(made, " "))
}
