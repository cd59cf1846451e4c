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

// The content encoding is one zstd stream (RFC 8878, with checksum) of
// records, each a uvarint length and then the record in uncompressed wire
// form. The SOA stands first and once; the others follow as AXFR brought them.

const (
	// window bounds the memory of both ends. Zones compress about as well
	// with it as with more: what repeats is near.
	window = 1 << 20
	// maxContent bounds what a content may unpack to, in octets: some 80
	// million records. It stops a few kilobytes of garbage that would unpack for hours.
	maxContent = 4 << 30
)

// Summary describes a zone's content.
type Summary struct {
	// Serial is the SOA's.
	Serial uint32
	// Digest is the hex SHA-384, see [pdns.Digester].
	Digest string
	// Records is the number of different records, the SOA counted once.
	Records int
	// Signed says that there are RRSIG records.
	Signed bool
	// Size is the length of the content encoding in octets; zero where none
	// was written.
	Size int64
}

// summer gathers a Summary, record by record.
type summer struct {
	digest *pdns.Digester
	serial uint32
	signed bool
}

func newSummer() *summer { return &summer{digest: pdns.NewDigester()} }

func (s *summer) add(rec pdns.Record) {
	switch rec.Type {
	case dns.TypeSOA:
		s.serial = soaSerial(rec)
	case dns.TypeRRSIG:
		s.signed = true
	}
	s.digest.AddRecord(rec)
}

func (s *summer) summary(size int64) (Summary, error) {
	digest, err := s.digest.Sum()
	if err != nil {
		return Summary{}, err
	}
	return Summary{Serial: s.serial, Digest: digest, Records: s.digest.Records(), Signed: s.signed, Size: size}, nil
}

// soaSerial returns the serial of a SOA record, which stands 20 octets before
// the end of its RDATA (RFC 1035 section 3.3.13).
func soaSerial(rec pdns.Record) uint32 {
	if len(rec.Data) < 22 {
		return 0
	}
	return binary.BigEndian.Uint32(rec.Data[len(rec.Data)-20:])
}

// encoders are kept: a new one costs more than encoding a small zone.
var encoders = sync.Pool{New: func() any {
	zw, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(window),
		zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(true))
	if err != nil {
		panic(err) // the options are constants
	}
	return zw
}}

// writer writes the content encoding.
type writer struct {
	zw     *zstd.Encoder
	out    countingWriter
	length [binary.MaxVarintLen64]byte
}

func newWriter(w io.Writer) *writer {
	cw := &writer{zw: encoders.Get().(*zstd.Encoder), out: countingWriter{w: w}}
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
	buf := make([]byte, pdns.MaxRecordLen)
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
		zr := decoders.Get().(*zstd.Decoder)
		defer decoders.Put(zr)
		defer func() { _ = zr.Reset(nil) }()
		if err := zr.Reset(r); err != nil {
			yield(nil, fmt.Errorf("read zone content: %w", err))
			return
		}
		records, check := bufio.NewReaderSize(zr, 32<<10), contentCheck{}
		var buf []byte
		for {
			var err error
			buf, err = readRecord(records, buf)
			if err == io.EOF && check.zone != nil {
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

var decoders = sync.Pool{New: func() any {
	zr, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(8<<20), zstd.WithDecoderMaxMemory(maxContent))
	if err != nil {
		panic(err) // the options are constants
	}
	return zr
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
