package pdns

import (
	"strings"
	"testing"
	"time"
)

func TestTraffic(t *testing.T) {
	type count struct {
		after   time.Duration
		queries uint64
	}
	for name, c := range map[string]struct {
		counts []count
		few    bool
	}{
		"nothing":            {nil, false},
		"one count":          {[]count{{0, 5}}, false},
		"few":                {[]count{{0, 5}, {100 * time.Millisecond, 205}}, true},
		"many":               {[]count{{0, 5}, {100 * time.Millisecond, 206}}, false},
		"few, then many":     {[]count{{0, 5}, {time.Second, 2005}, {time.Second, 4006}}, false},
		"many, then few":     {[]count{{0, 5}, {time.Second, 9000}, {time.Second, 11000}}, true},
		"long ago":           {[]count{{0, 5}, {10*time.Second + 1, 6}}, false},
		"long ago, then few": {[]count{{0, 5}, {time.Hour, 6}, {time.Second, 7}}, true},
		"restarted":          {[]count{{0, 5000}, {time.Second, 6}}, false},
		"restarted, few":     {[]count{{0, 5000}, {time.Second, 6}, {time.Second, 7}}, true},
	} {
		var traffic Traffic
		now := time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC)
		for i, count := range c.counts {
			now = now.Add(count.after)
			if !traffic.Due(now) {
				t.Errorf("%s: count %d is not due", name, i)
			}
			traffic.Count(now, count.queries)
			if traffic.Due(now.Add(99 * time.Millisecond)) {
				t.Errorf("%s: another count is due at once after count %d", name, i)
			}
		}
		if traffic.Few() != c.few {
			t.Errorf("%s: few is %t", name, traffic.Few())
		}
		if many := strings.HasSuffix(name, "many"); traffic.Many(now.Add(time.Second-1)) != many || traffic.Many(now.Add(time.Second)) {
			t.Errorf("%s: many is %t, and so for a second", name, traffic.Many(now))
		}
	}
}
