package pdns

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlanReconcile(t *testing.T) {
	version := func(zone string, number int64, serial uint32) Version {
		return Version{Zone: zone, Version: number, Serial: serial}
	}
	tombstone := func(zone string) Version { return Version{Zone: zone, Version: 9, Deleted: true} }
	ours := func(zone string, serial uint32) Held { return Held{Zone: zone, Serial: serial, Ours: true} }
	for _, test := range []struct {
		name    string
		newest  []Version
		held    []Held
		applied map[string]Applied
		want    Plan
	}{
		{name: "nothing anywhere"},
		{name: "missing", newest: []Version{version("b.", 1, 1), version("a.", 1, 1)}, want: Plan{Apply: []string{"a.", "b."}}},
		{
			name: "current", newest: []Version{version("a.", 1, 7)}, held: []Held{ours("a.", 7)},
			applied: map[string]Applied{"a.": {Version: 1}}, want: Plan{Current: 1},
		},
		{name: "state lost: compare", newest: []Version{version("a.", 1, 7)}, held: []Held{ours("a.", 7)}, want: Plan{Apply: []string{"a."}}},
		{
			name: "newer version at an equal serial", newest: []Version{version("a.", 2, 7)}, held: []Held{ours("a.", 7)},
			applied: map[string]Applied{"a.": {Version: 1}}, want: Plan{Apply: []string{"a."}},
		},
		{
			name: "distrusted", newest: []Version{version("a.", 1, 7)}, held: []Held{ours("a.", 7)},
			applied: map[string]Applied{"a.": {Version: 1, Distrusted: true}}, want: Plan{Apply: []string{"a."}},
		},
		{
			name: "PowerDNS lost what was applied", newest: []Version{version("a.", 1, 7)}, held: []Held{ours("a.", 6)},
			applied: map[string]Applied{"a.": {Version: 1}}, want: Plan{Apply: []string{"a."}},
		},
		{name: "tombstone", newest: []Version{tombstone("a."), tombstone("b.")}, held: []Held{ours("a.", 1)}, want: Plan{Delete: []string{"a."}, Current: 1}},
		{name: "tombstone of a foreign zone", newest: []Version{tombstone("a.")}, held: []Held{{Zone: "a."}}, want: Plan{Foreign: []string{"a."}, Current: 1}},
		{name: "foreign", newest: []Version{version("a.", 1, 1)}, held: []Held{{Zone: "b."}, {Zone: "a."}}, want: Plan{Foreign: []string{"a.", "b."}, Blocked: 1}},
		{name: "an empty list deletes nothing", held: []Held{ours("a.", 1), ours("b.", 1)}, want: Plan{Unknown: []string{"a.", "b."}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, PlanReconcile(test.newest, test.held, test.applied))
		})
	}
}
