package pdns

import "hash/fnv"

// Share is a part of all zones, so that a long check can go through them a part
// at a time. Which zones belong to it hangs on their names alone: Percent of
// them do, and with each turn the next ones, so that within 100/Percent turns
// each zone has had its turn. The zero Share is all of them.
type Share struct {
	Percent int   `json:"percent,omitempty"`
	Turn    int64 `json:"turn,omitempty"`
}

// Has reports whether zone belongs to it.
func (s Share) Has(zone string) bool {
	if s.Percent <= 0 || s.Percent >= 100 {
		return true
	}
	hash := fnv.New32a()
	hash.Write([]byte(zone)) // never fails, see hash.Hash
	begin := s.Turn * int64(s.Percent) % 100
	return (int64(hash.Sum32()%100)-begin+100)%100 < int64(s.Percent)
}
