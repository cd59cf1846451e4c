package transfer

import (
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// encoders are kept: a new one costs more than encoding a small zone.
var encoders = sync.Pool{New: func() any {
	return must(zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(true)))
}}

// recordBuffers are kept: to make and clear one costs as much as encoding a small zone.
var recordBuffers = sync.Pool{New: func() any { return new([pdns.MaxRecordLen]byte) }}

// writer writes the content encoding.
type writer struct {
	zw     *zstd.Encoder
	out    countingWriter
	length [binary.MaxVarintLen64]byte
}

func newWriter(w io.Writer) *writer {
	zw := encoders.Get().(*zstd.Encoder) //nolint:errcheck // the pool holds nothing else
	cw := &writer{zw: zw, out: countingWriter{w: w}}
	cw.zw.Reset(&cw.out)
	return cw
}

// add appends one record in uncompressed wire form.
func (w *writer) add(wire []byte) error {
	n := binary.PutUvarint(w.length[:], uint64(len(wire)))
	if _, err := w.zw.Write(w.length[:n]); err != nil {
		return err
	}
	_, err := w.zw.Write(wire)
	return err
}

// close ends the stream. It must be called, also after an error, with
// complete false: the encoding is then cut short and reads as an error.
func (w *writer) close(complete bool) error {
	var err error
	if complete {
		err = w.zw.Close()
	}
	w.zw.Reset(nil)
	encoders.Put(w.zw)
	w.zw = nil
	return err
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Encode writes the content encoding of records, the SOA first and once, to w.
func Encode(w io.Writer, records iter.Seq2[dns.RR, error]) (Summary, error) {
	out, sum, check := newWriter(w), newSummer(), contentCheck{}
	complete := false
	defer func() {
		if !complete {
			_ = out.close(false)
		}
	}()
	buffer := recordBuffers.Get().(*[pdns.MaxRecordLen]byte) //nolint:errcheck // the pool holds nothing else
	defer recordBuffers.Put(buffer)
	buf := buffer[:]
	for rr, err := range records {
		if err != nil {
			return Summary{}, err
		}
		end, err := dns.PackRR(rr, buf, 0, nil, false)
		if err != nil {
			return Summary{}, fmt.Errorf("encode record %s: %w", rr.Header().Name, err)
		}
		rec, err := check.parse(buf[:end])
		if err != nil {
			return Summary{}, fmt.Errorf("encode zone content: %w", err)
		}
		sum.add(rec)
		if err := out.add(buf[:end]); err != nil {
			return Summary{}, fmt.Errorf("write zone content: %w", err)
		}
	}
	complete = true
	if err := out.close(true); err != nil {
		return Summary{}, fmt.Errorf("write zone content: %w", err)
	}
	return sum.summary(out.out.n)
}
