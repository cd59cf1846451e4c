package versions_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/pdns-distribute/pdns-distribute/internal/stacktest"
	"github.com/pdns-distribute/pdns-distribute/internal/versions"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// stack is a real NATS for the tests of this package.
var stack *stacktest.Stack

func TestMain(m *testing.M) { stacktest.Main(m, &stack, "nats") }

const zone = "example.org."

// version is the n-th version of a zone.
func version(zone string, n int64) pdns.Version {
	return pdns.Version{
		Zone: zone, Version: n, Serial: uint32(n), Digest: fmt.Sprintf("digest-%d", n), Records: 3,
		Publisher: "primary-1", Time: time.Unix(n, 0).UTC(),
	}
}

// noise is content of a size, the same for the same seed.
func noise(size int, seed uint64) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	content := make([]byte, size)
	_, _ = rand.NewChaCha8(key).Read(content) // never fails
	return content
}

// unsized hides everything of a reader but Read, as a pipe from an AXFR does.
func unsized(content []byte) io.Reader { return io.MultiReader(bytes.NewReader(content)) }

// published publishes and returns the revision.
func published(t *testing.T, s *versions.Store, v pdns.Version, content []byte, revision uint64) uint64 {
	t.Helper()
	revision, err := s.Publish(t.Context(), v, unsized(content), revision)
	if err != nil {
		t.Fatal(err)
	}
	return revision
}

// opened returns the content of v.
func opened(t *testing.T, s *versions.Store, v pdns.Version) ([]byte, error) {
	t.Helper()
	r, err := s.Open(t.Context(), v)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(r)
	if closing := r.Close(); err == nil {
		err = closing
	}
	return content, err
}
