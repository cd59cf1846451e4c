package transfer

import (
	"context"
	"fmt"
	"io"
	"iter"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// PullAndCompare is [Pull], and says besides whether other, which begins once all
// has come, is the same content. An error of other is not one of the transfer: what
// cannot be read is not the same.
func PullAndCompare(ctx context.Context, server, zone string, w io.Writer, other iter.Seq2[pdns.Record, error]) (Summary, bool, error) {
	sum, size, err := pullTo(ctx, server, zone, w)
	if err != nil {
		return Summary{}, false, err
	}
	same, unread := sum.digest.Same(other)
	summary, err := sum.summary(size)
	return summary, same && unread == nil, err
}

// Compare asks server for zone by AXFR and says whether other is the same content.
func Compare(ctx context.Context, server, zone string, other iter.Seq2[pdns.Record, error]) (Summary, bool, error) {
	sum, err := pull(ctx, server, zone, func([]byte) error { return nil })
	if err != nil {
		return Summary{}, false, fmt.Errorf("transfer zone %s from %s: %w", zone, server, err)
	}
	same, err := sum.digest.Same(other)
	if err != nil {
		return Summary{}, false, fmt.Errorf("compare zone %s: %w", zone, err)
	}
	summary, err := sum.summary(0)
	return summary, same, err
}
