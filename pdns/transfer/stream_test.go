package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

func TestServerTransfers(t *testing.T) {
	server := startServer(t, servingNothing)
	var text strings.Builder
	text.WriteString(soaLine)
	for i := range 5000 {
		fmt.Fprintf(&text, "x%d.example. 60 IN TXT \"%s\"\n", i, strings.Repeat("y", i%250))
	}
	// The longest record there can be, with an owner that leaves no room for a question.
	owner := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 53) + ".example."
	largest := 65535 - 12 - (len(owner) + 1) - 10
	fmt.Fprintf(&text, "%s 60 IN TYPE65280 \\# %d %s\n", owner, largest, strings.Repeat("ab", largest))
	fmt.Fprintf(&text, "big.example. 60 IN TYPE65280 \\# 61440 %s\n", strings.Repeat("cd", 61440))
	content, want := encode(t, text.String())
	offer := server.Offer("example.", 1, opener(content))

	select {
	case <-offer.Started():
		t.Fatal("started before anyone asked")
	default:
	}
	var group sync.WaitGroup
	for range 10 {
		group.Go(func() {
			var copied bytes.Buffer
			got, err := transfer.Pull(t.Context(), server.Addr(), "example.", &copied)
			if err != nil || got != want {
				t.Errorf("%+v, %v, want %+v", got, err, want)
			}
		})
	}
	group.Wait()
	<-offer.Started()
	if err := <-offer.Done(); err != nil {
		t.Error(err)
	}
	offer.Withdraw()
	offer.Withdraw()
	if _, err := transfer.DigestOf(t.Context(), server.Addr(), "example."); !errors.Is(err, transfer.ErrRefused) {
		t.Errorf("after the withdrawal: %v", err)
	}
}

// dig is a reader that we did not write.
func TestDigAXFR(t *testing.T) {
	server := startServer(t, servingNothing)
	var text strings.Builder
	text.WriteString(soaLine + nsLine + aLine)
	for i := range 3000 {
		fmt.Fprintf(&text, "n%d.example. 60 IN A 192.0.2.%d\n", i, i%256)
	}
	content, sum := encode(t, text.String())
	server.Offer("example.", 1, opener(content))
	host, port, err := net.SplitHostPort(server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "dig", "@"+host, "-p", port, "example.", "axfr", "+nocomments", "+nocmd", "+nostats").CombinedOutput()
	if err != nil {
		t.Fatalf("dig (install bind9-dnsutils): %v\n%s", err, out)
	}
	// The SOA comes twice.
	if got := strings.Count(string(out), "\tIN\t"); got != sum.Records+1 {
		t.Errorf("dig printed %d records, want %d", got, sum.Records+1)
	}
}

func TestServerContentThatFails(t *testing.T) {
	server := startServer(t, servingNothing)
	var text strings.Builder
	text.WriteString(soaLine)
	for i := range 20_000 {
		fmt.Fprintf(&text, "n%d-%x.example. 60 IN A 192.0.2.%d\n", i, i*2654435761, i%256)
	}
	content, _ := encode(t, text.String())
	broken := errors.New("store is gone")
	tests := []struct {
		name string
		open func(context.Context) (io.ReadCloser, error)
		want string
	}{
		{"cannot be opened", func(context.Context) (io.ReadCloser, error) { return nil, broken }, "SERVFAIL"},
		{"breaks off", func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(io.MultiReader(bytes.NewReader(content[:len(content)/2]), iotest.ErrReader(broken))), nil
		}, "without the final SOA"},
		{"is garbage", func(context.Context) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader("garbage garbage")), nil
		}, "SERVFAIL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			offer := server.Offer("example.", 1, tt.open)
			defer offer.Withdraw()
			_, err := transfer.DigestOf(t.Context(), server.Addr(), "example.")
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("taker got %v, want an error with %q", err, tt.want)
			}
			if err := <-offer.Done(); err == nil || !strings.Contains(err.Error(), "zone example. version 1") {
				t.Errorf("owner got %v, want an error that names zone and version", err)
			}
		})
	}
}

// A newer offer takes the older one's place and ends its streams.
func TestOfferReplaced(t *testing.T) {
	server := startServer(t, servingNothing)
	older := server.Offer("example.", 1, func(ctx context.Context) (io.ReadCloser, error) {
		return io.NopCloser(untilDone{ctx}), nil
	})
	stuck := make(chan error, 1)
	go func() {
		_, err := transfer.DigestOf(t.Context(), server.Addr(), "example.")
		stuck <- err
	}()
	<-older.Started()
	content, want := encode(t, soaLine)
	newer := server.Offer("example.", 2, opener(content))
	if err := <-stuck; err == nil {
		t.Error("the transfer of the older version went through")
	}
	if err := <-older.Done(); err == nil || !strings.Contains(err.Error(), "withdrawn") {
		t.Errorf("older offer ended with %v", err)
	}
	older.Withdraw() // must not touch the newer
	if got, err := transfer.DigestOf(t.Context(), server.Addr(), "example."); err != nil || got.Digest != want.Digest {
		t.Errorf("newer offer: %+v, %v", got, err)
	}
	newer.Withdraw()
}

// untilDone is content that does not come before its context ends.
type untilDone struct{ ctx context.Context }

func (u untilDone) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, context.Cause(u.ctx)
}
