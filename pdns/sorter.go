package pdns

import (
	"bytes"
	"cmp"
	"container/heap"
	"encoding/binary"
	"iter"
	"slices"
)

const (
	// runSize is how many octets of entries are sorted at once.
	runSize = 4 << 20

	entryHeaderLen = 8
	smallestSlab   = 4 << 10 // most zones are small
)

// sorter gathers entries, and yields the different ones in order. What it has gathered
// is held sorted, in runs, without what each key has in common with the one before: some
// 20 octets an entry of a big zone, all but the last few megabytes. The zero value is
// empty.
type sorter struct {
	// slab holds the entries that came last, each as TTL (4 octets), length (4) and
	// sort key.
	slab    []byte
	entries []entry
	sorted  bool
	runs    []run
}

// entry says where one lies in the slab.
type entry struct {
	off int
	// head holds, while sorting, the 8 octets of the sort key after what
	// all keys have in common. Most comparisons end there, without a look into the slab: it makes
	// sorting many records twice as fast.
	head uint64
}

// run is entries in order: of each the length that its key shares with the one before, and
// that of the rest (uvarints), the TTL (4 octets), and the rest.
type run []byte

// add takes one entry: 8 octets for the header, then the sort key.
func (s *sorter) add(ttl uint32, e []byte) {
	binary.BigEndian.PutUint32(e[0:], ttl)
	binary.BigEndian.PutUint32(e[4:], uint32(len(e)-entryHeaderLen))
	if len(s.slab)+len(e) > runSize {
		s.seal()
	}
	if s.slab == nil {
		s.slab = make([]byte, 0, max(smallestSlab, len(e)))
	}
	s.entries = append(s.entries, entry{off: len(s.slab)})
	s.slab = append(s.slab, e...)
	s.sorted = false
}

// empty reports whether nothing was added.
func (s *sorter) empty() bool { return len(s.entries) == 0 && len(s.runs) == 0 }

// all yields the TTL and the sort key of each different entry in order. Of
// those that differ only in TTL, which no RRset may have (RFC 2181 section
// 5.2), the one with the smallest counts, whatever the order they came in. A key is
// good until the next.
func (s *sorter) all() iter.Seq2[uint32, []byte] {
	if len(s.runs) > 0 {
		s.seal()
		return different(merged(s.runs))
	}
	return different(s.gathered())
}

// gathered yields what is in the slab.
func (s *sorter) gathered() iter.Seq2[uint32, []byte] {
	s.sort()
	return func(yield func(uint32, []byte) bool) {
		for _, e := range s.entries {
			if ttl, key := readEntry(s.slab[e.off:]); !yield(ttl, key) {
				return
			}
		}
	}
}

// different leaves out an entry that has the key of the one before.
func different(all iter.Seq2[uint32, []byte]) iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		var last []byte
		for ttl, key := range all {
			if bytes.Equal(key, last) {
				continue
			}
			last = append(last[:0], key...)
			if !yield(ttl, key) {
				return
			}
		}
	}
}

// seal makes a run of what is in the slab.
func (s *sorter) seal() {
	if len(s.entries) == 0 {
		return
	}
	s.sort()
	sealed := make(run, 0, len(s.slab)/3)
	var last []byte
	for _, e := range s.entries {
		ttl, key := readEntry(s.slab[e.off:])
		shared := sharedLen(last, key)
		sealed = binary.AppendUvarint(sealed, uint64(shared))
		sealed = binary.AppendUvarint(sealed, uint64(len(key)-shared))
		sealed = binary.BigEndian.AppendUint32(sealed, ttl)
		sealed = append(sealed, key[shared:]...)
		last = key
	}
	s.runs = append(s.runs, bytes.Clone(sealed))
	s.slab, s.entries = s.slab[:0], s.entries[:0]
}

// sharedLen is how many octets both begin with.
func sharedLen(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (s *sorter) sort() {
	if s.sorted {
		return
	}
	s.setHeads()
	slices.SortFunc(s.entries, func(a, b entry) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		attl, akey := readEntry(s.slab[a.off:])
		bttl, bkey := readEntry(s.slab[b.off:])
		return compareEntries(attl, akey, bttl, bkey)
	})
	s.sorted = true
}

func compareEntries(attl uint32, akey []byte, bttl uint32, bkey []byte) int {
	if c := bytes.Compare(akey, bkey); c != 0 {
		return c
	}
	return cmp.Compare(attl, bttl)
}

// setHeads fills in the heads. A key that ends early is filled up with zeros,
// which at worst makes it equal to a longer one; then the whole keys compare.
func (s *sorter) setHeads() {
	if len(s.entries) == 0 {
		return
	}
	_, first := readEntry(s.slab[s.entries[0].off:])
	shared := len(first)
	for _, e := range s.entries {
		_, key := readEntry(s.slab[e.off:])
		shared = sharedLen(key, first[:shared])
	}
	for i, e := range s.entries {
		var head [8]byte
		_, key := readEntry(s.slab[e.off:])
		copy(head[:], key[shared:])
		s.entries[i].head = binary.BigEndian.Uint64(head[:])
	}
}

// readEntry returns the TTL and the sort key of the first entry.
func readEntry(b []byte) (ttl uint32, key []byte) {
	return binary.BigEndian.Uint32(b), b[entryHeaderLen : entryHeaderLen+binary.BigEndian.Uint32(b[4:])]
}

// merged yields the entries of all runs in order.
func merged(runs []run) iter.Seq2[uint32, []byte] {
	return func(yield func(uint32, []byte) bool) {
		all := make(cursors, 0, len(runs))
		for _, r := range runs {
			c := &cursor{rest: r}
			c.next() // no run is empty
			all = append(all, c)
		}
		heap.Init(&all)
		for len(all) > 0 {
			if !yield(all[0].ttl, all[0].key) {
				return
			}
			if all[0].next() {
				heap.Fix(&all, 0)
			} else {
				heap.Pop(&all)
			}
		}
	}
}

// cursor stands at one entry of a run. Its key is good until the next.
type cursor struct {
	ttl  uint32
	key  []byte
	rest run
}

// next goes on by one entry, and reports whether there was one.
func (c *cursor) next() bool {
	if len(c.rest) == 0 {
		return false
	}
	shared, n := binary.Uvarint(c.rest)
	length, m := binary.Uvarint(c.rest[n:])
	c.rest = c.rest[n+m:]
	c.ttl = binary.BigEndian.Uint32(c.rest)
	c.key = append(c.key[:shared], c.rest[4:4+length]...)
	c.rest = c.rest[4+length:]
	return true
}

// cursors are a [heap.Interface]: the first stands at the smallest entry.
type cursors []*cursor

func (c cursors) Len() int      { return len(c) }
func (c cursors) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c cursors) Less(i, j int) bool {
	return compareEntries(c[i].ttl, c[i].key, c[j].ttl, c[j].key) < 0
}

// Push is never called.
func (c *cursors) Push(x any) { *c = append(*c, x.(*cursor)) } //nolint:errcheck,forcetypeassert // cursors hold nothing else

func (c *cursors) Pop() any {
	last := (*c)[len(*c)-1]
	*c = (*c)[:len(*c)-1]
	return last
}
