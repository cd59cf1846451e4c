package activities_test

import (
	"context"
	"strings"
	"sync"
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

// fetched tells that a zone's version was asked for.
type fetched struct {
	activities.Subscriber
	zone  string
	asked func()
}

func (f fetched) Fetch(ctx context.Context, zone string) (pdns.Version, []byte, error) {
	if zone == f.zone {
		f.asked()
	}
	return f.Subscriber.Fetch(ctx, zone)
}

// However many zones of one batch wait for their turn, those of another come between them.
func TestASmallBatchDoesNotWaitForALargeOne(t *testing.T) {
	f := newFlushTest(t, 0)
	const large = 40
	zones := f.publish(large + 1)
	small := zones[large]
	held := heldUp{f.Client, make(chan string, large+1), make(chan struct{})}
	asked := make(chan struct{})
	f.secondary.PowerDNS, f.secondary.Versions = held, fetched{f.store, small, sync.OnceFunc(func() { close(asked) })}
	ended := make(chan error, 2)
	begin := func(zones ...string) {
		go func() {
			_, err := run[activities.ZonesResult](f.secondary, f.secondary.ApplyZones, activities.ZonesInput{Zones: zones})
			ended <- err
		}()
	}
	begin(zones[:large]...)
	first := <-held.making
	begin(small)
	<-asked
	made := []string{first}
	for made[len(made)-1] != small {
		held.goOn <- struct{}{}
		made = append(made, <-held.making)
	}
	require.Less(t, len(made), large/2, strings.Join(made, " "))
	close(held.goOn)
	require.NoError(t, <-ended)
	require.NoError(t, <-ended)
}
