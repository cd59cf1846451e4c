package activities

import (
	"bytes"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// publishedZones and publishedSize bound what is kept: 8 MiB.
	publishedZones = 4096
	publishedSize  = 2 << 10
)

// published are the contents of small zones that were published last, by zone, so that a
// change's difference is told without NATS, which has enough to do just then.
type published = lru.Cache[string, digested]

// digested is a content encoding, and the digest of what it says.
type digested struct {
	digest string
	octets []byte
}

func newPublished() *published {
	contents, err := lru.New[string, digested](publishedZones)
	if err != nil { // only for a size of none
		panic(err)
	}
	return contents
}

// keep keeps v's content where it is small. It does nothing where a is nil, as kept.
func (a *Ahead) keep(v pdns.Version, content *spool) {
	switch {
	case a == nil:
	case v.Signed || v.Records > diffRecords || content.file != nil || content.memory.Len() > publishedSize:
		a.published.Remove(v.Zone)
	default:
		a.published.Add(v.Zone, digested{v.Digest, bytes.Clone(content.memory.Bytes())})
	}
}

// kept returns v's content, nil where it is not kept. It must not be changed.
func (a *Ahead) kept(v pdns.Version) []byte {
	if a == nil {
		return nil
	}
	if found, ok := a.published.Get(v.Zone); ok && found.digest == v.Digest {
		return found.octets
	}
	return nil
}
