package versions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
)

// listPrefix begins the names of objects that hold a list for a check. No zone's
// content is named so: "=" stands before two hex digits there.
const listPrefix = "=list/"

// PublishList writes a list that many hosts read, such as a check's catalogue,
// and returns its name. It is kept for an hour or so, see [Store.Prune].
func (s *Store) PublishList(ctx context.Context, kind string, list any) (name string, err error) {
	name = listPrefix + kind + "/" + uuid.NewString()
	content, compressed := io.Pipe()
	go func() { compressed.CloseWithError(writeList(compressed, list)) }()
	if _, err := s.putObject(ctx, name, content); err != nil {
		content.CloseWithError(err) // ends the writer
		return "", fmt.Errorf("publish the list of a check: %w", explain(err))
	}
	return name, nil
}

func writeList(w io.Writer, list any) error {
	compressed, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return err
	}
	return errors.Join(json.NewEncoder(compressed).Encode(list), compressed.Close())
}

// ReadList reads a list that [Store.PublishList] wrote into list; [ErrGone] when
// it is not kept any more.
func (s *Store) ReadList(ctx context.Context, name string, list any) error {
	if err := s.readList(ctx, name, list); err != nil {
		return fmt.Errorf("read the list %s of a check: %w", name, err)
	}
	return nil
}

func (s *Store) readList(ctx context.Context, name string, list any) error {
	content, err := s.openObject(ctx, name)
	if err != nil {
		return err
	}
	defer content.Close()
	expanded, err := zstd.NewReader(content, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return err
	}
	defer expanded.Close()
	return json.NewDecoder(expanded).Decode(list)
}

// isList tells the objects of lists from zones' content.
func isList(name string) bool { return strings.HasPrefix(name, listPrefix) }
