package activities

import (
	"context"
	"io"
	"iter"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// openContent opens the whole content of a version, a delta's with what it changes.
func openContent(ctx context.Context, from ContentStore, v pdns.Version) (io.ReadCloser, error) {
	if !v.Unproven() {
		return from.Open(ctx, v)
	}
	base, err := from.Open(ctx, v.BaseVersion())
	if err != nil {
		return nil, err
	}
	return transfer.Merge(base, v.Delta.Sets), nil
}

// merged are the records of a delta's whole content. The base is opened when the
// first is asked for.
func merged(ctx context.Context, from ContentStore, v pdns.Version) iter.Seq2[pdns.Record, error] {
	return func(yield func(pdns.Record, error) bool) {
		base, err := from.Open(ctx, v.BaseVersion())
		if err != nil {
			yield(pdns.Record{}, err)
			return
		}
		defer base.Close()
		transfer.Merged(base, v.Delta.Sets)(yield)
	}
}
