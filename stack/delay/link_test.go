package delay_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/stack/delay"
)

// echo is a server that sends everything back, and ends each connection that its client has ended.
func echo(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.Copy(conn, conn)
			}()
		}
	}()
	return listener.Addr().String()
}

func connect(t *testing.T, address string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn.(*net.TCPConn)
}

func TestRoundTrip(t *testing.T) {
	link, err := delay.Listen(t.Context(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, link.Address())
	const trip = 40 * time.Millisecond
	for _, want := range []time.Duration{0, trip, 0} {
		link.SetRoundTrip(want)
		began := time.Now()
		if _, err := conn.Write([]byte("ping")); err != nil {
			t.Fatal(err)
		}
		answer := make([]byte, 4)
		if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "ping" {
			t.Fatalf("answer %q, %v", answer, err)
		}
		if took := time.Since(began); took < want {
			t.Errorf("a round trip of %s took %s", want, took)
		}
	}
	if sent, received := link.Octets(); sent != 12 || received != 12 {
		t.Errorf("counted %d octets there and %d back, want 12 each", sent, received)
	}
}

// 32 MiB in small pieces come back whole and in order. Were each delayed after the one before, that would take minutes.
func TestOrder(t *testing.T) {
	link, err := delay.Listen(t.Context(), echo(t))
	if err != nil {
		t.Fatal(err)
	}
	link.SetRoundTrip(20 * time.Millisecond)
	conn := connect(t, link.Address())
	data := make([]byte, 32<<20)
	if _, err := rand.Read(data); err != nil {
		t.Fatal(err)
	}
	go func() {
		for rest := data; len(rest) > 0; rest = rest[min(len(rest), 1000):] {
			if _, err := conn.Write(rest[:min(len(rest), 1000)]); err != nil {
				return // the reader tells
			}
		}
		conn.CloseWrite()
	}()
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, data) {
		t.Errorf("%d octets came back, not the %d that were sent in their order", len(got), len(data))
	}
}

// A server that is away, or goes away, closes its clients' connections.
func TestTargetGone(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	link, err := delay.Listen(t.Context(), listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, link.Address())
	far, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
	far.Close()
	if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("after the target closed: %v, want EOF", err)
	}
	if _, err := connect(t, link.Address()).Read(make([]byte, 1)); err == nil {
		t.Error("a connection to nobody stays open")
	}
}

func TestEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	link, err := delay.Listen(ctx, echo(t))
	if err != nil {
		t.Fatal(err)
	}
	conn := connect(t, link.Address())
	if _, err := conn.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := conn.Read(make([]byte, 1)); err == nil {
		t.Error("a connection outlives its link")
	}
}
