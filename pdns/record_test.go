package pdns

import (
	"bytes"
	"testing"

	"github.com/miekg/dns"
)

func TestParseRecord(t *testing.T) {
	wire := []byte("\x03WwW\x07example\x00\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc0\x00\x02\x01")
	rec, err := ParseRecord(wire)
	if err != nil {
		t.Fatal(err)
	}
	if rec.Type != dns.TypeA || rec.Class != dns.ClassINET || rec.TTL != 3600 || !bytes.Equal(rec.Data, []byte{192, 0, 2, 1}) {
		t.Errorf("record is %+v", rec)
	}
	if got := rec.OwnerName(); got != "WwW.example." {
		t.Errorf("owner is %q", got)
	}
	for n := range wire {
		if _, err := ParseRecord(wire[:n]); err == nil {
			t.Errorf("the first %d octets of a record are taken as one", n)
		}
	}
	if _, err := ParseRecord(append(wire, 0)); err == nil {
		t.Error("an octet after the record is not seen")
	}
	if _, err := ParseRecord(append([]byte{0xc0, 0}, wire[13:]...)); err == nil {
		t.Error("a compressed owner's name is taken")
	}
}

func TestRecordIn(t *testing.T) {
	tests := []struct {
		owner, zone string
		want        bool
	}{
		{"example.", "example.", true},
		{"WWW.Example.", "example.", true},
		{"www.example.", "www.example.", true},
		{"example.", "www.example.", false},
		{"xexample.", "example.", false},
		{`x\.example.`, "example.", false},
		{"example.", ".", true},
		{".", ".", true},
		{".", "example.", false},
		{"\\007example.", "example.", false},
	}
	for _, tt := range tests {
		owner, err := WireName(tt.owner)
		if err != nil {
			t.Fatal(err)
		}
		zone, err := WireName(tt.zone)
		if err != nil {
			t.Fatal(err)
		}
		if got := (Record{Owner: owner}).In(zone); got != tt.want {
			t.Errorf("%s in %s: %v, want %v", tt.owner, tt.zone, got, tt.want)
		}
	}
}

// No octets crash it, and what it takes can be digested.
func FuzzParseRecord(f *testing.F) {
	f.Add([]byte("\x03www\x07example\x00\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xc0\x00\x02\x01"))
	f.Add([]byte("\x00\x00\x2e\x00\x01\x00\x00\x0e\x10\x00\x13\x00\x01\x0d\x01\x00\x00\x0e\x10abcdefghij\x00"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		rec, err := ParseRecord(wire)
		if err != nil {
			return
		}
		key := appendSortKey(nil, rec.Owner)
		if back, n := nameFromSortKey(nil, key); !foldEqual(back, rec.Owner) || n != len(key) {
			t.Fatalf("owner %q comes back as %q", rec.Owner, back)
		}
		d := NewDigester()
		d.AddRecord(rec)
		d.AddRecord(rec)
		if _, err := d.Sum(); err != nil || d.Records() != 1 {
			t.Fatalf("%d records, %v", d.Records(), err)
		}
	})
}
