package pdns

import (
	"slices"
	"testing"
)

func zonesOf(changes []HeldChange) []string {
	var zones []string
	for _, h := range changes {
		zones = append(zones, h.Zone)
	}
	return zones
}

func TestDeciding(t *testing.T) {
	change := func(zone string, decision Decision, decided string) HeldChange {
		return HeldChange{Zone: zone, Kind: HeldDelete, Base: 7, Decision: decision, Decided: decided}
	}
	open := []HeldChange{change("b.", Undecided, ""), change("a.", Undecided, ""), change("old.", Rejected, "earlier")}
	shown := Deciding(open, "")
	digest := HoldDigest(shown)
	if got := zonesOf(shown); !slices.Equal(got, []string{"a.", "b."}) {
		t.Fatalf("shown: %v", got)
	}
	for name, c := range map[string]struct {
		changes []HeldChange
		digest  string
		want    []string
	}{
		"the set shown":               {open, digest, []string{"a.", "b."}},
		"one more came":               {append(slices.Clone(open), change("c.", Undecided, "")), digest, nil},
		"one is another version":      {[]HeldChange{open[1], {Zone: "b.", Kind: HeldDelete, Base: 8}}, digest, nil},
		"broken off half-way":         {[]HeldChange{change("b.", Approved, digest), open[1], open[2]}, digest, []string{"a.", "b."}},
		"broken off at its end":       {[]HeldChange{change("b.", Approved, digest), change("a.", Approved, digest), open[2]}, digest, []string{"a.", "b."}},
		"all is decided, look again":  {[]HeldChange{change("a.", Rejected, digest), open[2]}, "", []string{"a.", "old."}},
		"nothing is held":             {nil, digest, nil},
		"nothing is held, none shown": {nil, "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if got := zonesOf(Deciding(c.changes, c.digest)); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	rejected := []HeldChange{change("a.", Rejected, "earlier"), change("b.", Rejected, "earlier")}
	again := HoldDigest(Deciding(rejected, ""))
	rejected[0].Decision, rejected[0].Decided = Approved, again
	if got := zonesOf(Deciding(rejected, again)); !slices.Equal(got, []string{"a.", "b."}) {
		t.Errorf("thought again, broken off: %v", got)
	}
}

func TestHoldOf(t *testing.T) {
	for hold, want := range map[string]string{
		"deletes": "deletes", "shrink/Example.ORG": "shrink/example.org.", "shrink/.": "shrink/.", "shrink/": "", "example.org.": "", "": "", "shrink/a..b": "",
	} {
		if got, err := HoldOf(hold); got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", hold, got, err)
		}
	}
	for _, h := range []HeldChange{{Zone: "example.org.", Kind: HeldDelete}, {Zone: "example.org.", Kind: HeldShrink}} {
		if canonical, err := HoldOf(h.Hold()); err != nil || canonical != h.Hold() {
			t.Errorf("%q: %q, %v", h.Hold(), canonical, err)
		}
	}
}
