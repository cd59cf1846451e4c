package versions_test

import (
	"log/slog"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/internal/broker/brokertest"
	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// A bucket that comes back with less than it had is followed again once the connection stands.
func TestFollowBeginsAnew(t *testing.T) {
	js := brokertest.Fresh(t, stack)
	s := versions.New(js)
	anew, heard := make(chan struct{}, 1), make(chan int64, 1000)
	go s.Follow(t.Context(), slog.New(slog.DiscardHandler), anew, func(v pdns.Version, _ []byte, _ string) { heard <- v.Version })
	n, revision := int64(0), uint64(0)
	// next publishes the next version, and returns what is heard of soon, 0 for nothing.
	next := func() int64 {
		n++
		revision = published(t, s, version(zone, n), []byte("x"), revision)
		select {
		case v := <-heard:
			return v
		case <-time.After(50 * time.Millisecond):
			return 0
		}
	}
	eventually.True(t, "a version is heard of", func() bool { return next() > 0 })
	for range 500 {
		next()
	}
	brokertest.Empty(t, js)
	if _, err := broker.Ensure(t.Context(), js, brokertest.Config(stack, "primary")); err != nil {
		t.Fatal(err)
	}
	lost := n
	revision = 0
	anew <- struct{}{}
	eventually.True(t, "a version in the new bucket is heard of", func() bool { return next() > lost })
}
