package pdns

import (
	"bytes"
	"crypto/sha256"
	"slices"
	"time"
)

// Ledger notes which zones were deleted within a rolling window. A zone counts
// once however often it is noted, so that a step which is tried again, or a zone
// that somebody deletes and makes anew all the time, uses up nothing. The zero
// value is empty.
//
// Zones are noted as 8 octets each, so that some 95,000 fit into one message of
// 1 MiB: 9 % of a million zones. That two fall together is as likely as that it
// matters.
type Ledger struct {
	Slots []LedgerSlot `json:"slots,omitempty"`
}

// LedgerSlot holds the zones noted in one sixtieth of the window.
type LedgerSlot struct {
	// Start is in seconds since the Unix epoch.
	Start int64 `json:"start"`
	// Marks are the zones, [markLen] octets each.
	Marks []byte `json:"marks"`
}

const (
	// ledgerRoom is how many zones a ledger is given at most.
	ledgerRoom = 90_000

	markLen = 8
	// slotsPerWindow is how finely the window rolls.
	slotsPerWindow = 60
)

func mark(zone string) []byte {
	sum := sha256.Sum256([]byte(zone))
	return sum[:markLen]
}

// within drops what is past, and what a wrong clock noted in the far future.
func (l Ledger) within(window time.Duration, now time.Time) Ledger {
	var kept Ledger
	for _, slot := range l.Slots {
		if age := now.Sub(time.Unix(slot.Start, 0)); -window < age && age <= window+window/slotsPerWindow {
			kept.Slots = append(kept.Slots, slot)
		}
	}
	return kept
}

// with is the ledger with zones noted at now. l stays as it is.
func (l Ledger) with(zones []string, now time.Time, window time.Duration) Ledger {
	known := make(map[string]bool, l.len()+len(zones))
	for _, slot := range l.Slots {
		for m := range slices.Chunk(slot.Marks, markLen) {
			known[string(m)] = true
		}
	}
	var added []byte
	for _, zone := range zones {
		if m := mark(zone); !known[string(m)] {
			known[string(m)] = true
			added = append(added, m...)
		}
	}
	if len(added) == 0 {
		return l
	}
	noted := Ledger{Slots: slices.Clone(l.Slots)}
	start := now.Truncate(window / slotsPerWindow).Unix()
	at := slices.IndexFunc(noted.Slots, func(s LedgerSlot) bool { return s.Start == start })
	if at < 0 {
		at = len(noted.Slots)
		noted.Slots = append(noted.Slots, LedgerSlot{Start: start})
	}
	noted.Slots[at].Marks = append(bytes.Clone(noted.Slots[at].Marks), added...)
	return noted
}

// len is how many zones are noted.
func (l Ledger) len() int {
	n := 0
	for _, slot := range l.Slots {
		n += len(slot.Marks) / markLen
	}
	return n
}
