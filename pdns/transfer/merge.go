package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/miekg/dns"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// Merge returns the content encoding of base with these RRsets in the place of
// those of the same names and types. The SOA must be among them. Neither content is
// ever in memory as a whole. Closing what it returns closes base.
func Merge(base io.ReadCloser, sets []pdns.RRset) io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		err := mergeTo(w, base, sets)
		w.CloseWithError(errors.Join(err, base.Close()))
	}()
	return r
}

func mergeTo(w io.Writer, base io.Reader, sets []pdns.RRset) error {
	out, complete := newWriter(w), false
	defer func() {
		if !complete {
			_ = out.close(false)
		}
	}()
	for wire, err := range mergeWire(base, sets) {
		if err != nil {
			return err
		}
		if err := out.add(wire); err != nil {
			return err
		}
	}
	complete = true
	return out.close(true)
}

// Merged is [Merge], record by record. Each is good until the next.
func Merged(base io.Reader, sets []pdns.RRset) iter.Seq2[pdns.Record, error] {
	return func(yield func(pdns.Record, error) bool) {
		for wire, err := range mergeWire(base, sets) {
			var rec pdns.Record
			if err == nil {
				rec, err = pdns.ParseRecord(wire)
			}
			if !yield(rec, err) || err != nil {
				return
			}
		}
	}
}

// mergeWire is [Merge] in uncompressed wire form, the SOA first.
func mergeWire(base io.Reader, sets []pdns.RRset) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		soa, others, replaced, err := pack(sets)
		if err != nil {
			yield(nil, fmt.Errorf("merge zone content: %w", err))
			return
		}
		if !yield(soa, nil) {
			return
		}
		for _, wire := range others {
			if !yield(wire, nil) {
				return
			}
		}
		var key []byte
		for wire, err := range readWire(base) {
			if err != nil {
				yield(nil, err)
				return
			}
			rec, err := pdns.ParseRecord(wire)
			if err != nil { // cannot be: readWire checked it
				yield(nil, err)
				return
			}
			key = rec.AppendKey(key[:0])
			if !replaced[string(key)] && !yield(wire, nil) {
				return
			}
		}
	}
}

// pack brings RRsets into wire form, and tells what they replace by
// [pdns.Record.AppendKey].
func pack(sets []pdns.RRset) (soa []byte, others [][]byte, replaced map[string]bool, err error) {
	replaced = make(map[string]bool, len(sets))
	buf := make([]byte, pdns.MaxRecordLen)
	for _, set := range sets {
		name, err := pdns.WireName(set.Name)
		if err != nil {
			return nil, nil, nil, err
		}
		replaced[string(pdns.Record{Owner: name, Type: set.RRType()}.AppendKey(nil))] = true
		rrs, err := set.RRs()
		if err != nil {
			return nil, nil, nil, err
		}
		for _, rr := range rrs {
			end, err := dns.PackRR(rr, buf, 0, nil, false)
			switch {
			case err != nil:
				return nil, nil, nil, fmt.Errorf("record %s %s: %w", set.Name, set.Type, err)
			case set.RRType() != dns.TypeSOA:
				others = append(others, bytes.Clone(buf[:end]))
			default:
				soa = bytes.Clone(buf[:end])
			}
		}
	}
	if soa == nil {
		return nil, nil, nil, errors.New("no SOA is among the RRsets that changed")
	}
	return soa, others, replaced, nil
}
