package pdns

import "testing"

func TestSelection(t *testing.T) {
	suffixes := Selection{Include: []string{"example.org.", "example.com."}, Exclude: []string{"internal.example.org.", "example.com."}}
	nested := Selection{Include: []string{"public.internal.example.org.", "example.org."}, Exclude: []string{"internal.example.org."}}
	for _, c := range []struct {
		selection           Selection
		zone, kind, account string
		distributed         bool
	}{
		{Selection{}, "example.org.", "Native", "", true},
		{Selection{}, "example.org.", "Master", "anyone", true},
		{Selection{}, "example.org.", "Primary", "", true},
		{Selection{}, "example.org.", "Slave", "", false},
		{Selection{}, "example.org.", "Producer", "", false},
		{Selection{}, "example.org.", "Consumer", "", false},
		{Selection{Kinds: []string{"secondary"}}, "example.org.", "Slave", "", true},
		{Selection{Kinds: []string{"Primary"}}, "example.org.", "Native", "", false},
		{Selection{Accounts: []string{"a", "b"}}, "example.org.", "Native", "b", true},
		{Selection{Accounts: []string{"a", "b"}}, "example.org.", "Native", "", false},
		{suffixes, "example.org.", "Native", "", true},
		{suffixes, "www.example.org.", "Native", "", true},
		{suffixes, "badexample.org.", "Native", "", false},
		{suffixes, `a\.example.org.`, "Native", "", false},
		{suffixes, "org.", "Native", "", false},
		{suffixes, "internal.example.org.", "Native", "", false},
		{suffixes, "a.internal.example.org.", "Native", "", false},
		{suffixes, "example.com.", "Native", "", false},
		{nested, "a.internal.example.org.", "Native", "", false},
		{nested, "a.public.internal.example.org.", "Native", "", true},
		{Selection{Include: []string{"."}}, "example.org.", "Native", "", true},
		{Selection{Exclude: []string{"."}, Include: []string{"example.org."}}, "example.net.", "Native", "", false},
		{Selection{Exclude: []string{"."}, Include: []string{"example.org."}}, "example.org.", "Native", "", true},
	} {
		if reason := c.selection.LeavesOut(c.zone, c.kind, c.account); (reason == "") != c.distributed {
			t.Errorf("%+v: zone %s, kind %s, account %q: %q", c.selection, c.zone, c.kind, c.account, reason)
		}
	}
}
