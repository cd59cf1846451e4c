package activities

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// What a zone was made with is known for as long as nothing but records is changed.
func TestHintsOfANewZone(t *testing.T) {
	native := pdns.Settings{Kind: "Native"}
	made := pdns.Call{Kind: pdns.ChangeAdd, Made: native, Answer: []byte("{}")}
	records := pdns.Call{Kind: pdns.ChangeModify, RRsets: []pdns.RRsetName{{Name: "www.example.", Type: "TXT"}}}
	other := pdns.Call{Kind: pdns.ChangeModify}
	for _, test := range []struct {
		name  string
		calls []pdns.Call
		want  pdns.Settings
	}{
		{"made", []pdns.Call{made}, native},
		{"then records", []pdns.Call{made, records, records}, native},
		{"then something else", []pdns.Call{made, records, other}, pdns.Settings{}},
		{"after something else", []pdns.Call{other, made}, pdns.Settings{}},
		{"after records", []pdns.Call{records, made}, pdns.Settings{}},
		{"made again", []pdns.Call{made, {Kind: pdns.ChangeDelete}, made}, pdns.Settings{}},
		{"records", []pdns.Call{records}, pdns.Settings{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for joined := range test.calls {
				var h, later hints
				for i, call := range test.calls {
					if i <= joined {
						h.add(call)
					} else {
						later.add(call)
					}
				}
				h.join(later)
				require.Equal(t, test.want, h.made, "the last %d joined", len(test.calls)-1-joined)
				require.Equal(t, len(test.calls), h.calls)
				require.Equal(t, len(test.calls) == 1 && test.want == native, h.answer != nil, "an answer says how the zone was before other calls")
			}
		})
	}
}
