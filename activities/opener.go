package activities

import (
	"bytes"
	"context"
	"fmt"
	"io"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// opener returns how to open the content of v, as often as PowerDNS asks for it.
type opener func(ctx context.Context, v pdns.Version) (func(context.Context) (io.ReadCloser, error), error)

// carried is the opener for content that came with the version. Where none did, NATS
// keeps it elsewhere.
func (s *Secondary) carried(data []byte) opener {
	return func(_ context.Context, v pdns.Version) (func(context.Context) (io.ReadCloser, error), error) {
		if len(data) > 0 {
			return inMemory(data), nil
		}
		return func(ctx context.Context) (io.ReadCloser, error) { return openContent(ctx, s.Versions, v) }, nil
	}
}

// inMemory opens content that is at hand.
func inMemory(data []byte) func(context.Context) (io.ReadCloser, error) {
	return func(context.Context) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// read returns the content of v from its beginning.
func (open opener) read(ctx context.Context, v pdns.Version) (io.ReadCloser, error) {
	content, err := open(ctx, v)
	if err != nil {
		return nil, err
	}
	reader, err := content(ctx)
	if err != nil {
		return nil, fmt.Errorf("open the content of version %d: %w", v.Version, err)
	}
	return reader, nil
}

// readable says whether the content of v can be had.
func (open opener) readable(ctx context.Context, v pdns.Version) error {
	reader, err := open.read(ctx, v)
	if err != nil {
		return err
	}
	return reader.Close()
}
