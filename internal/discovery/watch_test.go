package discovery_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/pdns-distribute/pdns-distribute/internal/discovery"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
)

// reports collects what a watch tells.
type reports struct {
	mu  sync.Mutex
	all []string
}

func (r *reports) add(id string, up bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf("%s %v", id, up))
}

func (r *reports) list() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.all)
}

func (r *reports) wait(t *testing.T, want ...string) {
	t.Helper()
	eventually.True(t, fmt.Sprintf("reports %v", want), func() bool { return len(r.list()) >= len(want) })
	if got := r.list(); !slices.Equal(got, want) {
		t.Fatalf("reports are %v, want %v", got, want)
	}
}

func TestWatch(t *testing.T) {
	first := register(t, "secondary-1")
	waitFor(t, client(t, "primary"), "secondary-1", "passing", passing)

	ctx, cancel := context.WithCancel(t.Context())
	var got reports
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		client(t, "primary").Watch(ctx, discovery.ServiceSecondary, got.add)
	}()
	got.wait(t, "secondary-1 true")
	first.down.Store(true)
	got.wait(t, "secondary-1 true", "secondary-1 false")
	first.down.Store(false)
	got.wait(t, "secondary-1 true", "secondary-1 false", "secondary-1 true")
	second := register(t, "secondary-2")
	got.wait(t, "secondary-1 true", "secondary-1 false", "secondary-1 true", "secondary-2 true")

	// Consul goes and comes back: nobody was down. One that goes meanwhile is.
	stack.Stop(t, "consul")
	second.stop() // cannot deregister
	stack.StartProc(t, "consul")
	got.wait(t, "secondary-1 true", "secondary-1 false", "secondary-1 true", "secondary-2 true", "secondary-2 false")
	cancel()
	<-ended
	if err := operator(t).Agent().ServiceDeregister("pdns-secondary-secondary-2"); err != nil {
		t.Error(err)
	}
}
