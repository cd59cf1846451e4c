package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"

	"go.temporal.io/sdk/worker"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
)

// fakeWorker is one that the SDK gives up: a real one does so only after two minutes of errors.
type fakeWorker struct {
	worker.Worker
	gaveUp  func(error)
	stopped atomic.Bool
}

func (*fakeWorker) Start() error { return nil }
func (f *fakeWorker) Stop()      { f.stopped.Store(true) }

func TestAWorkerThatGaveUpIsStartedAnew(t *testing.T) {
	var made []*fakeWorker
	var opened atomic.Int32
	g := newGated(slog.New(slog.DiscardHandler), func(gaveUp func(error)) []worker.Worker {
		first, second := &fakeWorker{gaveUp: gaveUp}, &fakeWorker{gaveUp: gaveUp}
		made = append(made, first, second)
		return []worker.Worker{first, second}
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		g.Run(ctx, func(context.Context) error { return nil }, func() { opened.Add(1) })
	}()
	eventually.True(t, "the workers run", func() bool { return g.Open() && opened.Load() == 1 })
	made[1].gaveUp(errors.New("namespace not found"))
	eventually.True(t, "new ones run", func() bool { return g.Open() && opened.Load() == 2 })
	cancel()
	<-ended
	if g.Open() || len(made) != 4 {
		t.Errorf("open %v, %d workers were made", g.Open(), len(made))
	}
	for i, w := range made {
		if !w.stopped.Load() {
			t.Errorf("worker %d runs on", i)
		}
	}
}
