package pdns

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

var testGuard = Guard{MaxDelete: 10, MaxDeletePercent: 5, MaxAPIDeletePerMinute: 2000, MaxShrinkPercent: 50, MinRecords: 100}

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// numbered returns the zones first to last-1.
func numbered(first, last int) []string {
	var zones []string
	for i := first; i < last; i++ {
		zones = append(zones, fmt.Sprintf("z%05d.example.", i))
	}
	return zones
}

func listed(zones []string) map[string]bool {
	set := make(map[string]bool, len(zones))
	for _, zone := range zones {
		set[zone] = true
	}
	return set
}

func TestGuardDeletes(t *testing.T) {
	for name, c := range map[string]struct {
		published, listed []string
		asked             []string
		held              string // a part of the reason; empty: they go
	}{
		"one of many":                        {numbered(0, 100), numbered(1, 100), numbered(0, 1), ""},
		"as many as may":                     {numbered(0, 100), numbered(10, 100), numbered(0, 10), ""},
		"one more":                           {numbered(0, 100), numbered(11, 100), numbered(0, 11), "11 of 100 zones are gone"},
		"the first of half of them":          {numbered(0, 100), numbered(50, 100), numbered(0, 1), "50 of 100 zones"},
		"a twentieth of a large system":      {numbered(0, 10_000), numbered(500, 10_000), numbered(0, 250), ""},
		"more than a twentieth":              {numbered(0, 10_000), numbered(501, 10_000), numbered(0, 250), "501 of 10000 zones"},
		"never more than half":               {numbered(0, 6), numbered(4, 6), numbered(0, 1), "4 of 6 zones"},
		"half of few":                        {numbered(0, 6), numbered(3, 6), numbered(0, 3), ""},
		"empty list":                         {numbered(0, 100), nil, numbered(0, 1), "lists no zone"},
		"the only zone":                      {numbered(0, 1), nil, numbered(0, 1), "lists no zone"},
		"the only zone, another unpublished": {numbered(0, 1), numbered(7, 8), numbered(0, 1), "1 of 1 zones"},
		"never published":                    {numbered(0, 100), numbered(0, 100), numbered(200, 205), ""},
		"many that were never published":     {numbered(0, 100), numbered(0, 100), numbered(200, 211), "11 of 100"},
	} {
		t.Run(name, func(t *testing.T) {
			ledger, reason := testGuard.Deletes(c.asked, NewSurvey(c.published, listed(c.listed)), Ledger{}, noon)
			if c.held == "" && reason != "" || c.held != "" && !strings.Contains(reason, c.held) {
				t.Fatalf("reason %q, want %q", reason, c.held)
			}
			if want := len(c.asked); c.held == "" && ledger.len() != want || c.held != "" && ledger.len() != 0 {
				t.Errorf("%d zones noted", ledger.len())
			}
		})
	}
}

// What is noted fits into one message of 1 MiB, whatever may go unasked.
func TestGuardDeletesNoMoreThanCanBeNoted(t *testing.T) {
	guard := testGuard
	guard.MaxDelete = 1_000_000
	published := numbered(0, 2*ledgerRoom+2)
	ledger, reason := guard.Deletes(numbered(0, ledgerRoom), NewSurvey(published, listed(published[ledgerRoom:])), Ledger{}, noon)
	data, err := json.Marshal(ledger)
	if reason != "" || ledger.len() != ledgerRoom || err != nil || len(data) > 1<<20-1<<10 {
		t.Errorf("%d noted in %d octets: %s %v", ledger.len(), len(data), reason, err)
	}
	if _, reason := guard.Deletes(numbered(0, ledgerRoom+1), NewSurvey(published, listed(published[ledgerRoom+1:])), Ledger{}, noon); !strings.Contains(reason, "and 90000 may go unasked") {
		t.Errorf("reason %q", reason)
	}
}

// What went before counts for an hour, each zone once, however often it is asked
// for, and also when it is published again.
func TestGuardDeletesCountForAnHour(t *testing.T) {
	published := numbered(0, 100)
	var ledger Ledger
	remove := func(zone int, at time.Time) string {
		t.Helper()
		asked := numbered(zone, zone+1)
		left := slices.DeleteFunc(slices.Clone(published), func(z string) bool { return z == asked[0] })
		next, reason := testGuard.Deletes(asked, NewSurvey(published, listed(left)), ledger, at)
		ledger = next
		return reason
	}
	for i := range 10 {
		at := noon.Add(time.Duration(i) * time.Minute)
		for range 3 {
			if reason := remove(i, at); reason != "" {
				t.Fatalf("zone %d: %s", i, reason)
			}
		}
	}
	if reason := remove(10, noon.Add(59*time.Minute)); reason == "" {
		t.Error("an eleventh within the hour went")
	}
	if reason := remove(3, noon.Add(59*time.Minute)); reason != "" {
		t.Errorf("one that was noted already: %s", reason)
	}
	if reason := remove(10, noon.Add(62*time.Minute)); reason != "" {
		t.Errorf("after an hour: %s", reason)
	}
	if reason := remove(20, noon.Add(62*time.Minute)); reason == "" {
		t.Error("the window does not roll: all of the first hour is forgotten at once")
	}
}

func TestGuardAPIDeletes(t *testing.T) {
	ledger, reason := testGuard.APIDeletes(numbered(0, 1999), Ledger{}, noon)
	if reason != "" || ledger.len() != 1999 {
		t.Fatalf("%d noted: %s", ledger.len(), reason)
	}
	if _, reason = testGuard.APIDeletes(numbered(1999, 2001), ledger, noon.Add(30*time.Second)); !strings.Contains(reason, "2001 zones within a minute") {
		t.Errorf("reason %q", reason)
	}
	if ledger, reason = testGuard.APIDeletes(numbered(1999, 2001), ledger, noon.Add(62*time.Second)); reason != "" || ledger.len() != 2 {
		t.Errorf("after a minute: %d noted: %s", ledger.len(), reason)
	}
}

func TestLedgerForgetsAWrongClock(t *testing.T) {
	ledger := Ledger{}.with(numbered(0, 10), noon.Add(24*time.Hour), GuardWindow)
	if left := ledger.within(GuardWindow, noon).len(); left != 0 {
		t.Errorf("%d of tomorrow's zones count", left)
	}
}

func TestGuardShrinks(t *testing.T) {
	for name, c := range map[string]struct {
		from, to Version
		held     bool
	}{
		"half":             {Version{Plain: 100}, Version{Plain: 50}, false},
		"more than half":   {Version{Plain: 100}, Version{Plain: 49}, true},
		"a small zone":     {Version{Plain: 99}, Version{Plain: 2}, false},
		"grows":            {Version{Plain: 100}, Version{Plain: 1000}, false},
		"un-signed":        {Version{Plain: 100, Records: 400}, Version{Plain: 100, Records: 100}, false},
		"from a tombstone": {Version{Plain: 100, Deleted: true}, Version{Plain: 2}, false},
	} {
		t.Run(name, func(t *testing.T) {
			if reason := testGuard.Shrinks(c.from, c.to); (reason != "") != c.held {
				t.Errorf("reason %q", reason)
			}
		})
	}
}

func TestProxiedAnd(t *testing.T) {
	for _, c := range []struct{ a, b, want Proxied }{
		{NotProxied, NotProxied, NotProxied}, {ProxiedChange, NotProxied, ProxiedChange}, {NotProxied, ProxiedDelete, ProxiedDelete},
		{ProxiedDelete, ProxiedChange, ProxiedDelete}, {ProxiedChange, ProxiedDelete, ProxiedDelete},
	} {
		if got := c.a.And(c.b); got != c.want {
			t.Errorf("%q and %q: %q", c.a, c.b, got)
		}
	}
}

func TestProof(t *testing.T) {
	key, other := []byte("key"), []byte("another key")
	event := Event{Zone: "example.org.", ChangeID: "id", CreatedAt: noon.Add(123 * time.Nanosecond)}
	event.Proof = event.Prove(ChangeDelete, key)
	if got := event.ProvenBy(other, key); got != ProxiedDelete {
		t.Errorf("a valid proof: %q", got)
	}
	forged := map[string]func(*Event){
		"zone":      func(e *Event) { e.Zone = "example.com." },
		"change ID": func(e *Event) { e.ChangeID = "id2" },
		"time":      func(e *Event) { e.CreatedAt = e.CreatedAt.Add(time.Nanosecond) },
		"primary":   func(e *Event) { e.Primary = "primary-2" },
		"taken":     func(e *Event) { e.Taken = true },
		"no proof":  func(e *Event) { e.Proof = "" },
		"kind":      func(e *Event) { e.Proof = e.Prove("other", key) },
		// The parts are told apart: what one loses another one cannot gain.
		"shifted": func(e *Event) { e.ChangeID, e.Zone = "idexample.", "org." },
	}
	for name, forge := range forged {
		e := event
		if forge(&e); e.ProvenBy(key) != NotProxied {
			t.Errorf("%s: taken for a proof", name)
		}
	}
	if event.ProvenBy(other) != NotProxied || event.ProvenBy() != NotProxied {
		t.Error("taken for a proof under another key, or none")
	}
}
