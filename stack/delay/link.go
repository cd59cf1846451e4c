// Package delay puts a distance between two programs on one machine: a TCP proxy that hands on every octet later than it
// came. What goes through it stays as it is, TLS too.
package delay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"
)

const (
	readSize = 64 << 10
	// underway is how many reads one direction may hold: at 10 KiB each 640 MiB/s over a one-way trip of 50 ms, so the
	// link delays but does not throttle.
	underway = 4096
)

// Link is one way to one server. The set-up of a connection is not delayed, only what is sent over it.
type Link struct {
	address, target string
	oneWay          atomic.Int64 // time.Duration
	sent, received  atomic.Int64
}

// Listen opens a way to target on a port of its own, without delay at first. It ends with ctx, its connections too.
func Listen(ctx context.Context, target string) (*Link, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("open a way to %s: %w", target, err)
	}
	context.AfterFunc(ctx, func() { listener.Close() })
	l := &Link{address: listener.Addr().String(), target: target}
	go l.accept(ctx, listener)
	return l, nil
}

// Address is where to connect to instead of the target.
func (l *Link) Address() string { return l.address }

// SetRoundTrip has what comes from now on take this time to the target and back, half of it each way.
func (l *Link) SetRoundTrip(trip time.Duration) { l.oneWay.Store(int64(trip / 2)) }

// Octets counts what went to the target and what came from it.
func (l *Link) Octets() (sent, received int64) { return l.sent.Load(), l.received.Load() }

func (l *Link) accept(ctx context.Context, listener net.Listener) {
	for {
		near, err := listener.Accept()
		if err != nil {
			return // closed
		}
		go l.connect(ctx, near)
	}
}

// connect joins near to the target until both directions have ended. A target that is away shows as a closed connection,
// as it would without the link.
func (l *Link) connect(ctx context.Context, near net.Conn) {
	defer near.Close()
	far, err := new(net.Dialer).DialContext(ctx, "tcp", l.target)
	if err != nil {
		return
	}
	defer far.Close()
	stop := context.AfterFunc(ctx, func() { near.Close(); far.Close() })
	defer stop()
	back := make(chan struct{})
	go func() {
		defer close(back)
		l.carry(near, far, &l.received)
	}()
	l.carry(far, near, &l.sent)
	<-back
}

// parcel is what one read returned.
type parcel struct {
	data []byte
	due  time.Time
}

// carry hands on to one end what it reads from the other, in order and late, until either fails or from has sent all.
func (l *Link) carry(to, from net.Conn, count *atomic.Int64) {
	parcels := make(chan parcel, underway)
	go func() {
		defer close(parcels)
		buffer := make([]byte, readSize)
		for {
			n, err := from.Read(buffer)
			if n > 0 {
				count.Add(int64(n))
				parcels <- parcel{bytes.Clone(buffer[:n]), time.Now().Add(time.Duration(l.oneWay.Load()))}
			}
			if err != nil {
				return
			}
		}
	}()
	if err := deliver(to, parcels); err != nil {
		from.Close()        // ends the reader
		for range parcels { // it must not block on its last ones
		}
	}
}

// deliver writes each parcel when it is due, and ends the direction after the last.
func deliver(to net.Conn, parcels <-chan parcel) error {
	for p := range parcels {
		time.Sleep(time.Until(p.due)) // returns at once when that has passed
		if _, err := to.Write(p.data); err != nil {
			return err
		}
	}
	half, ok := to.(*net.TCPConn)
	if !ok {
		return errors.New("not a TCP connection")
	}
	return half.CloseWrite()
}
