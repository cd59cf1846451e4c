package bench

import (
	"testing"
	"time"
)

func TestHops(t *testing.T) {
	began := time.Unix(1_000_000, 0)
	at := func(ms int) time.Time { return began.Add(time.Duration(ms) * time.Millisecond) }
	changes := []seen{
		{at(0), at(50), map[string]time.Time{"secondary-1": at(31)}},
		{at(100), at(145), map[string]time.Time{"secondary-1": at(141)}},
	}
	joined := join(changes, []span{
		{Trace: "a", Process: "secondary-1", Name: "apply", Start: at(11), End: at(21)}, // sent before its request
		{Trace: "a", Process: "primary-1", Name: firstHop, Start: at(1), End: at(6)},
		{Trace: "b", Process: "primary-1", Name: firstHop, Start: at(101), End: at(111)},
		{Trace: "b", Process: "secondary-1", Name: "apply", Start: at(121), End: at(141)},
		{Trace: "b", Process: "primary-1", Name: "StartActivity:ApplyZone", Start: at(121), End: at(121)},
		{Trace: "c", Process: "primary-1", Name: firstHop, Start: at(60), End: at(70)}, // none of these changes
	})
	if len(joined) != 2 || joined[0].took != 49 {
		t.Fatalf("%+v", joined)
	}
	hops := sumUp(joined)
	want := []struct {
		hop
		offset, p50, max, slowest float64
	}{
		{hop{"secondary-1", answerSeen}, 0, 30, 40, 0},
		{hop{"primary-1", firstHop}, 0, 5, 10, 0},
		{hop{"secondary-1", "apply"}, 10, 10, 20, 0},
	}
	if len(hops) != len(want) {
		t.Fatalf("%+v", hops)
	}
	for i, w := range want {
		h := hops[i]
		if (hop{h.Process, h.Name}) != w.hop || h.Offset.P50 != w.offset || h.Took.P50 != w.p50 || h.Took.Max != w.max || h.Slowest != w.slowest {
			t.Errorf("%+v, not %+v", h, w)
		}
	}
}
