package pdns

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

func at(t testing.TB, text string) time.Time {
	t.Helper()
	when, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestLastSignatureRoll(t *testing.T) {
	for now, want := range map[string]string{
		"2026-11-19T00:00:00Z":      "2026-11-19T00:00:00Z", // a Thursday
		"2026-11-18T23:59:59Z":      "2026-11-12T00:00:00Z",
		"2026-11-19T00:30:00+01:00": "2026-11-12T00:00:00Z", // still Wednesday in UTC
		"2026-11-25T12:00:00Z":      "2026-11-19T00:00:00Z",
		"1970-01-01T00:00:00Z":      "1970-01-01T00:00:00Z",
	} {
		if got := LastSignatureRoll(at(t, now)); !got.Equal(at(t, want)) || got.Location() != time.UTC {
			t.Errorf("before %s: %s, want %s", now, got, want)
		}
	}
}

func TestSignaturesRolled(t *testing.T) {
	now := at(t, "2026-11-23T04:00:00Z")
	fresh, old := at(t, "2026-12-03T00:00:00Z"), at(t, "2026-11-26T00:00:00Z")
	for name, tt := range map[string]struct {
		v    Version
		want bool
	}{
		"signed since the roll":    {Version{Signed: true, Expires: fresh}, false},
		"signed before it":         {Version{Signed: true, Expires: old}, true},
		"long before it":           {Version{Signed: true, Expires: old.AddDate(0, 0, -70)}, true},
		"presigned, near its end":  {Version{Signed: true, Expires: old.Add(time.Second)}, false},
		"not signed":               {Version{}, false},
		"a tombstone":              {Version{Signed: true, Expires: old, Deleted: true}, false},
		"of unknown end":           {Version{Signed: true}, false},
		"by a clock that is ahead": {Version{Signed: true, Expires: fresh.AddDate(0, 0, 7)}, false},
	} {
		if got := tt.v.SignaturesRolled(now); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// sig is a signature of a zone's SOA.
func sig(expiration time.Time, change ...func(*dns.RRSIG)) *dns.RRSIG {
	s := &dns.RRSIG{
		Hdr:         dns.RR_Header{Name: "example.", Rrtype: dns.TypeRRSIG, Class: dns.ClassINET, Ttl: 60},
		TypeCovered: dns.TypeSOA, Algorithm: dns.ECDSAP256SHA256, Labels: 1, OrigTtl: 60, KeyTag: 7, SignerName: "example.",
		Expiration: uint32(expiration.Unix()), Inception: uint32(expiration.AddDate(0, 0, -21).Unix()), Signature: "AAAA",
	}
	for _, c := range change {
		c(s)
	}
	return s
}

func covering(rrtype uint16) func(*dns.RRSIG) { return func(s *dns.RRSIG) { s.TypeCovered = rrtype } }

func TestRollShare(t *testing.T) {
	roll := LastSignatureRoll(time.Date(2026, 11, 28, 0, 0, 0, 0, time.UTC))
	for _, c := range []struct {
		stale        int
		every, after time.Duration
		want         int
	}{
		{0, time.Minute, 0, 0},
		{240, time.Minute, 0, 1},
		{241, time.Minute, 0, 2},
		{100_000, 5 * time.Minute, 0, 2084},
		{50_000, 5 * time.Minute, 2 * time.Hour, 2084},
		{600, time.Minute, 3*time.Hour + 30*time.Minute, 20},
		{600, time.Minute, 3 * 24 * time.Hour, 40},
		{600, 2 * time.Hour, 3 * 24 * time.Hour, 600},
	} {
		if got := RollShare(c.stale, c.every, roll.Add(c.after)); got != c.want {
			t.Errorf("%d stale zones, every %s, %s after the roll: %d, want %d", c.stale, c.every, c.after, got, c.want)
		}
	}
	// Scans as rare as those of 100,000 zones, of 500 or more each, have pulled all of them in time.
	stale, now := 100_000, roll.Add(time.Minute)
	for every := 5 * time.Minute; stale > 0; now = now.Add(every) {
		stale -= max(RollShare(stale, every, now), 500)
	}
	if took := now.Sub(roll); took > rollSpread {
		t.Errorf("all are pulled %s after the roll", took)
	}
}

func TestSigningOf(t *testing.T) {
	soon, late := at(t, "2026-11-26T00:00:00Z"), at(t, "2026-12-03T00:00:00Z")
	one, two := sig(late), sig(soon, covering(dns.TypeNS))
	want := SigningOf([]*dns.RRSIG{one, two})
	if !want.Expires.Equal(soon) || want.Mark == "" {
		t.Errorf("%+v", want)
	}
	octets := sig(late, func(s *dns.RRSIG) { s.Signature = "BBBB"; s.Hdr.Ttl = 5; s.Hdr.Name = "EXAMPLE." })
	if got := SigningOf([]*dns.RRSIG{two, octets}); got != want {
		t.Errorf("another order, other octets: %+v, want %+v", got, want)
	}
	for name, change := range map[string]func(*dns.RRSIG){
		"key":        func(s *dns.RRSIG) { s.KeyTag++ },
		"algorithm":  func(s *dns.RRSIG) { s.Algorithm++ },
		"type":       covering(dns.TypeDNSKEY),
		"TTL":        func(s *dns.RRSIG) { s.OrigTtl++ },
		"inception":  func(s *dns.RRSIG) { s.Inception++ },
		"expiration": func(s *dns.RRSIG) { s.Expiration++ },
	} {
		if got := SigningOf([]*dns.RRSIG{sig(late, change), two}); got.Mark == want.Mark {
			t.Errorf("another %s goes unseen", name)
		}
	}
	if got := SigningOf([]*dns.RRSIG{one}); got.Mark == want.Mark {
		t.Error("a lost signature goes unseen")
	}
	if got := SigningOf(nil); got != (Signing{}) {
		t.Errorf("no signatures: %+v", got)
	}
}

func TestKeysMark(t *testing.T) {
	key := func(change ...func(*dns.DNSKEY)) dns.RR {
		k := &dns.DNSKEY{Hdr: dns.RR_Header{Name: "example.", Rrtype: dns.TypeDNSKEY, Ttl: 60}, Flags: 256, Protocol: 3, Algorithm: 13, PublicKey: "AAAA"}
		for _, c := range change {
			c(k)
		}
		return k
	}
	other := key(func(k *dns.DNSKEY) { k.PublicKey = "BBBB" })
	want := KeysMark([]dns.RR{key(), other})
	if got := KeysMark([]dns.RR{other, key(func(k *dns.DNSKEY) { k.Hdr.Ttl = 5 })}); got != want || got == "" {
		t.Errorf("another order and TTL: %q, want %q", got, want)
	}
	for name, set := range map[string][]dns.RR{
		"one less":  {other},
		"one more":  {key(), other, key(func(k *dns.DNSKEY) { k.PublicKey = "CCCC" })},
		"flags":     {key(func(k *dns.DNSKEY) { k.Flags = 257 }), other},
		"revoked":   {key(func(k *dns.DNSKEY) { k.Flags |= 128 }), other},
		"algorithm": {key(func(k *dns.DNSKEY) { k.Algorithm = 15 }), other},
	} {
		if KeysMark(set) == want {
			t.Errorf("%s: goes unseen", name)
		}
	}
	if got := KeysMark([]dns.RR{&dns.SOA{}}); got != "" {
		t.Errorf("no keys: %q", got)
	}
}

func TestJudgeSignatures(t *testing.T) {
	rules := SignatureRules{MinRemaining: 96 * time.Hour}
	justRolled, later := at(t, "2026-11-19T01:00:00Z"), at(t, "2026-11-19T06:00:00Z")
	old, rolled := at(t, "2026-11-26T00:00:00Z"), at(t, "2026-12-03T00:00:00Z")
	live := func(expires time.Time, change ...func(*dns.RRSIG)) Signing {
		return SigningOf([]*dns.RRSIG{sig(expires, change...)})
	}
	otherKey := func(s *dns.RRSIG) { s.KeyTag++ }
	keys := func(s Signing, mark string) Signing { s.Keys = mark; return s }
	ends := at(t, "2026-11-23T00:00:00Z") // less than four days after justRolled
	for name, tt := range map[string]struct {
		now             time.Time
		primary, served Signing
		want            SignatureState
	}{
		"the same":                          {justRolled, live(rolled), live(rolled), SignaturesFresh},
		"unsigned on both":                  {justRolled, Signing{}, Signing{}, SignaturesFresh},
		"ending on both":                    {justRolled, live(ends), live(ends), SignaturesFresh},
		"the week before, just now":         {justRolled, live(rolled), live(old), SignaturesRolling},
		"the week before, hours later":      {later, live(rolled), live(old), SignaturesDifferent},
		"two weeks before, just now":        {justRolled, live(rolled), live(old.AddDate(0, 0, -7)), SignaturesExpiring},
		"the same keys":                     {justRolled, keys(live(rolled), "a"), keys(live(rolled), "a"), SignaturesFresh},
		"one more key that signs nothing":   {justRolled, keys(live(rolled), "b"), keys(live(rolled), "a"), SignaturesDifferent},
		"the same with the week before":     {justRolled, keys(live(rolled), "b"), keys(live(old), "a"), SignaturesDifferent},
		"keys that were not asked for":      {justRolled, keys(live(rolled), "a"), live(rolled), SignaturesFresh},
		"another key":                       {justRolled, live(rolled), live(rolled, otherKey), SignaturesDifferent},
		"ending, and the primary has more":  {justRolled, live(rolled), live(ends), SignaturesExpiring},
		"ending, and the primary has less":  {justRolled, live(ends.AddDate(0, 0, -1)), live(ends), SignaturesExpiring},
		"unsigned on the secondary":         {justRolled, live(rolled), Signing{}, SignaturesMissing},
		"unsigned on the primary":           {justRolled, Signing{}, live(rolled), SignaturesDifferent},
		"presigned, renewed on the primary": {justRolled, live(rolled.Add(time.Minute)), live(old), SignaturesDifferent},
	} {
		got := rules.Judge(tt.now, tt.primary, tt.served)
		if got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		if fault := got != SignaturesFresh && got != SignaturesRolling; fault != got.Fault() {
			t.Errorf("%s: fault %v", name, got.Fault())
		}
	}
}

func TestFirstEnd(t *testing.T) {
	early, late := at(t, "2026-11-26T00:00:00Z"), at(t, "2026-12-03T00:00:00Z")
	for _, tt := range []struct{ a, b, want time.Time }{
		{early, late, early}, {late, early, early}, {early, time.Time{}, early}, {time.Time{}, early, early}, {},
	} {
		if got := FirstEnd(tt.a, tt.b); !got.Equal(tt.want) {
			t.Errorf("%s, %s: %s", tt.a, tt.b, got)
		}
	}
}
