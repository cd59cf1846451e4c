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

// published keeps the contents of small zones that were published last, so that a
// change's difference is told without NATS, which has enough to do just then.
type published struct {
	contents *lru.Cache[string, digested]
}

// digested is a content encoding, and the digest of what it says.
type digested struct {
	digest string
	octets []byte
}

func newPublished() published {
	contents, err := lru.New[string, digested](publishedZones)
	if err != nil { // only for a size of none
		panic(err)
	}
	return published{contents}
}

// keep keeps v's content where it is small.
func (p published) keep(v pdns.Version, content *spool) {
	if v.Signed || v.Records > diffRecords || content.file != nil || content.memory.Len() > publishedSize {
		p.contents.Remove(v.Zone)
		return
	}
	p.contents.Add(v.Zone, digested{v.Digest, bytes.Clone(content.memory.Bytes())})
}

// of returns v's content, nil where it is not kept. It must not be changed.
func (p published) of(v pdns.Version) []byte {
	if kept, ok := p.contents.Get(v.Zone); ok && kept.digest == v.Digest {
		return kept.octets
	}
	return nil
}
