package versions

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"

	"github.com/pdns-distribute/pdns-distribute/internal/broker"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// inlineLimit is the largest compressed content, in bytes, that rides in the
// entry itself. NATS takes messages up to 1 MiB by default.
const inlineLimit = 128 << 10

// header is the entry's first line.
type header struct {
	pdns.Version
	// Trace is the header of the trace of the change that was published; of use
	// to those who see it published and to nobody later.
	Trace string `json:"trace,omitempty"`
}

// encode returns the entry: the version as one line of JSON, then the content.
func encode(v pdns.Version, trace string, content []byte) ([]byte, error) {
	header, err := json.Marshal(header{v, trace})
	if err != nil {
		return nil, fmt.Errorf("encode the version: %w", err)
	}
	return append(append(header, '\n'), content...), nil
}

// decode splits an entry. The error names the key and how to get rid of an
// entry that something else wrote.
func decode(key string, entry []byte) (pdns.Version, []byte, error) {
	v, content, err := decodeTraced(key, entry)
	return v.Version, content, err
}

// decodeTraced is [decode] for those who see the entry published.
func decodeTraced(key string, entry []byte) (header, []byte, error) {
	line, content, _ := bytes.Cut(entry, []byte{'\n'})
	var v header
	err := json.Unmarshal(line, &v)
	if err == nil && pdns.ZoneKey(v.Zone) != key {
		err = fmt.Errorf("it is of zone %q", v.Zone)
	}
	if err == nil && v.Version.Version <= 0 {
		err = fmt.Errorf("it has no version number")
	}
	if err != nil {
		return header{}, nil, broker.NotOurs(broker.BucketZones, key, err)
	}
	return v, content, nil
}

func inline(content []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(content)) }
