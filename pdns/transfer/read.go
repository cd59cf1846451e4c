package transfer

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Read returns the records of a content encoding, the SOA first. After an
// error nothing follows. Records of types that the library does not know, or
// whose RDATA it cannot read, come as [dns.RFC3597].
func Read(r io.Reader) iter.Seq2[dns.RR, error] {
	return func(yield func(dns.RR, error) bool) {
		for wire, err := range readWire(r) {
			if err != nil {
				yield(nil, err)
				return
			}
			rr, err := unpack(wire)
			if err != nil {
				yield(nil, fmt.Errorf("zone content: %w", err))
				return
			}
			if !yield(rr, nil) {
				return
			}
		}
	}
}

// Summarize reads a content encoding to its end and describes it, so that
// its digest can be compared with the one that was announced.
func Summarize(r io.Reader) (Summary, error) {
	sum, in := newSummer(), &countingReader{r: r}
	for wire, err := range readWire(in) {
		if err != nil {
			return Summary{}, err
		}
		rec, err := pdns.ParseRecord(wire)
		if err != nil { // cannot be: readWire checked it
			return Summary{}, err
		}
		sum.add(rec)
	}
	return sum.summary(in.n)
}

type countingReader struct {
	r io.Reader
	n int64
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// readWire returns the records of a content encoding in uncompressed wire
// form, each well-formed and inside the zone. A slice is good until the next.
func readWire(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		from := decoders.Get().(*decoder) //nolint:errcheck // the pool holds nothing else
		defer decoders.Put(from)
		defer func() { _ = from.zstd.Reset(nil) }()
		if err := from.zstd.Reset(r); err != nil {
			yield(nil, fmt.Errorf("read zone content: %w", err))
			return
		}
		from.buffered.Reset(from.zstd)
		records, check := from.buffered, contentCheck{}
		var buf []byte
		for {
			var err error
			buf, err = readRecord(records, buf)
			if errors.Is(err, io.EOF) && check.zone != nil {
				return
			}
			if err == nil {
				_, err = check.parse(buf)
			}
			if err != nil {
				yield(nil, fmt.Errorf("read zone content: %w", noEOF(err)))
				return
			}
			if !yield(buf, nil) {
				return
			}
		}
	}
}

// decoder reads a content encoding.
type decoder struct {
	zstd     *zstd.Decoder
	buffered *bufio.Reader
}

// decoders are kept: to make one costs more than to read a small zone.
var decoders = sync.Pool{New: func() any {
	zr := must(zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(maxContent)))
	return &decoder{zstd: zr, buffered: bufio.NewReaderSize(zr, 32<<10)}
}}

// readRecord reads one record into buf, which it grows where needed. io.EOF
// means that the content ended before a record began.
func readRecord(r *bufio.Reader, buf []byte) ([]byte, error) {
	if _, err := r.Peek(1); err != nil {
		return nil, err
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		return nil, noEOF(err)
	}
	if n > pdns.MaxRecordLen {
		return nil, fmt.Errorf("a record claims to be %d octets long", n)
	}
	if uint64(cap(buf)) < n {
		buf = make([]byte, n, max(2*n, 512))
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r, buf); err != nil {
		return nil, noEOF(err)
	}
	return buf, nil
}

// noEOF says of an end that came too early that it did.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
