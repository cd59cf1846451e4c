package pdns

import (
	"bytes"
	"cmp"
	"crypto/sha512"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/miekg/dns"
)

// Digester computes the digest of a zone's content: SHA-384 over the records
// in the order and form of RFC 8976 section 3.3 (which takes both from RFC
// 4034 section 6), with two differences: every RRSIG stands without its
// Signature field, and ZONEMD records count like any other. Records may come
// in any order; the same record twice counts once, so the second SOA of an
// AXFR may be added or left out.
//
// It keeps the records as octets in large slabs: about 80 MB for a million
// small ones. A Digester is for one goroutine.
type Digester struct {
	slabs   [][]byte
	entries []entry
	sorted  bool
	scratch []byte // one record in entry form
	wire    []byte // one record as the library packed it
}

// entry says where one record lies: TTL (4 octets), length (4), then the sort
// key: the name's sort key, TYPE, CLASS, canonical RDATA.
type entry struct {
	slab, off uint32
	// head holds, while sorting, the 8 octets of the sort key after what
	// all keys have in common. Most comparisons end there, without a look into a slab: it makes
	// sorting a million records twice as fast.
	head uint64
}

const (
	entryHeaderLen = 8
	smallestSlab   = 4 << 10 // most zones are small
	largestSlab    = 1 << 20
)

// NewDigester returns an empty Digester.
func NewDigester() *Digester { return &Digester{} }

// Add takes one record.
func (d *Digester) Add(rr dns.RR) error {
	if d.wire == nil {
		d.wire = make([]byte, MaxRecordLen)
	}
	end, err := dns.PackRR(rr, d.wire, 0, nil, false)
	if err != nil {
		return fmt.Errorf("record %s %s: %w", rr.Header().Name, dns.TypeToString[rr.Header().Rrtype], err)
	}
	return d.AddWire(d.wire[:end])
}

// AddWire takes one record in uncompressed wire form. It does not keep wire.
func (d *Digester) AddWire(wire []byte) error {
	rec, err := ParseRecord(wire)
	if err != nil {
		return err
	}
	d.AddRecord(rec)
	return nil
}

// AddRecord takes one record that [ParseRecord] returned. It does not keep it.
func (d *Digester) AddRecord(rec Record) {
	key := appendEntryKey(append(d.scratch[:0], make([]byte, entryHeaderLen)...), rec)
	binary.BigEndian.PutUint32(key[0:], rec.TTL)
	binary.BigEndian.PutUint32(key[4:], uint32(len(key)-entryHeaderLen))
	d.scratch = key

	slab := d.slabWith(len(key))
	off := len(d.slabs[slab])
	d.slabs[slab] = append(d.slabs[slab], key...)
	d.entries = append(d.entries, entry{slab: uint32(slab), off: uint32(off)})
	d.sorted = false
}

// appendEntryKey appends the sort key of an entry.
func appendEntryKey(dst []byte, rec Record) []byte {
	dst = appendSortKey(dst, rec.Owner)
	dst = binary.BigEndian.AppendUint16(dst, rec.Type)
	dst = binary.BigEndian.AppendUint16(dst, rec.Class)
	return canonicalData(dst, rec.Type, rec.Data)
}

// slabWith returns the number of a slab with room for n octets.
func (d *Digester) slabWith(n int) int {
	last := len(d.slabs) - 1
	if last >= 0 && cap(d.slabs[last])-len(d.slabs[last]) >= n {
		return last
	}
	size := smallestSlab
	if last >= 0 {
		size = min(2*cap(d.slabs[last]), largestSlab)
	}
	d.slabs = append(d.slabs, make([]byte, 0, max(size, n)))
	return last + 1
}

// Records returns how many different records were added. RRSIGs that differ
// in the signature alone are one record.
func (d *Digester) Records() int {
	d.sort()
	return len(d.entries)
}

// Sum returns the digest in lower-case hex. It is an error when no record was
// added: the digest of nothing must never compare equal to anything.
func (d *Digester) Sum() (string, error) {
	if len(d.entries) == 0 {
		return "", errors.New("digest of a zone without records")
	}
	d.sort()
	hash := sha512.New384()
	var owner, lastKey, record []byte
	for _, e := range d.entries {
		ttl, key := d.at(e)
		if len(lastKey) == 0 || !bytes.HasPrefix(key, lastKey) {
			var n int
			owner, n = nameFromSortKey(owner[:0], key)
			lastKey = key[:n]
		}
		rest := key[len(lastKey):]
		data := rest[4:]
		record = append(record[:0], owner...)
		record = appendFixed(record, binary.BigEndian.Uint16(rest), binary.BigEndian.Uint16(rest[2:]), ttl, len(data))
		record = append(record, data...)
		hash.Write(record) // never fails, see hash.Hash
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// Same reports whether records are the very ones that were added, in whatever
// order and each as often as it likes. It is as strict as comparing digests, and
// needs no second Digester. An error of records ends it.
func (d *Digester) Same(records iter.Seq2[Record, error]) (bool, error) {
	d.sort()
	seen := make([]uint64, len(d.entries)/64+1)
	count := 0
	var key []byte
	for rec, err := range records {
		if err != nil {
			return false, err
		}
		key = appendEntryKey(key[:0], rec)
		at, found := slices.BinarySearchFunc(d.entries, key, func(e entry, key []byte) int {
			_, have := d.at(e)
			return bytes.Compare(have, key)
		})
		if !found {
			return false, nil
		}
		if ttl, _ := d.at(d.entries[at]); ttl != rec.TTL {
			return false, nil
		}
		if bit := uint64(1) << (at % 64); seen[at/64]&bit == 0 {
			seen[at/64] |= bit
			count++
		}
	}
	return count == len(d.entries), nil
}

// sort puts the entries in canonical order and drops repeated ones. Of
// records that differ only in TTL, which no RRset may have (RFC 2181 section
// 5.2), the one with the smallest stays, whatever the order they came in.
func (d *Digester) sort() {
	if d.sorted {
		return
	}
	d.setHeads()
	slices.SortFunc(d.entries, func(a, b entry) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		attl, akey := d.at(a)
		bttl, bkey := d.at(b)
		if c := bytes.Compare(akey, bkey); c != 0 {
			return c
		}
		return cmp.Compare(attl, bttl)
	})
	d.entries = slices.CompactFunc(d.entries, func(a, b entry) bool {
		_, akey := d.at(a)
		_, bkey := d.at(b)
		return bytes.Equal(akey, bkey)
	})
	d.sorted = true
}

// setHeads fills in the heads. A key that ends early is filled up with zeros,
// which at worst makes it equal to a longer one; then the whole keys compare.
func (d *Digester) setHeads() {
	if len(d.entries) == 0 {
		return
	}
	_, first := d.at(d.entries[0])
	shared := len(first)
	for _, e := range d.entries {
		_, key := d.at(e)
		shared = min(shared, len(key))
		for i := range shared {
			if key[i] != first[i] {
				shared = i
				break
			}
		}
	}
	for i := range d.entries {
		var head [8]byte
		_, key := d.at(d.entries[i])
		copy(head[:], key[shared:])
		d.entries[i].head = binary.BigEndian.Uint64(head[:])
	}
}

// at returns the TTL and the sort key of an entry.
func (d *Digester) at(e entry) (ttl uint32, key []byte) {
	b := d.slabs[e.slab][e.off:]
	n := binary.BigEndian.Uint32(b[4:])
	return binary.BigEndian.Uint32(b), b[entryHeaderLen : entryHeaderLen+n]
}
