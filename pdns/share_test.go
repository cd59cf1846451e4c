package pdns

import (
	"fmt"
	"testing"
)

// Each zone has its turn within 100/Percent turns, rounded up, and a turn has
// about as many as it should.
func TestShare(t *testing.T) {
	const zones = 10_000
	for _, percent := range []int{1, 7, 20, 33, 50, 99} {
		turns := (100 + percent - 1) / percent
		sizes := make([]int, turns)
		for i := range zones {
			zone, seen := fmt.Sprintf("zone-%d.example.", i), false
			for turn := range turns {
				if (Share{Percent: percent, Turn: int64(turn + 7)}).Has(zone) {
					seen = true
					sizes[turn]++
				}
			}
			if !seen {
				t.Fatalf("%d %%: %s had no turn of %d", percent, zone, turns)
			}
		}
		for turn, n := range sizes {
			if want := zones * percent / 100; n < want/2 || n > want*3/2 {
				t.Errorf("%d %%: turn %d has %d of %d zones", percent, turn, n, zones)
			}
		}
	}
	for _, all := range []Share{{}, {Percent: 100}, {Percent: 100, Turn: 7}} {
		if !all.Has("example.") {
			t.Errorf("%+v leaves zones out", all)
		}
	}
}
