package api

import (
	"encoding/json"
	"testing"
)

func TestOwnedBy(t *testing.T) {
	const account, master = "pdns-distribute", "127.0.0.1:5399"
	ours := Zone{Kind: "Slave", Account: account, Masters: []string{master}}
	tests := []struct {
		name            string
		change          func(*Zone)
		account, master string
		want            bool
	}{
		{"ours", func(*Zone) {}, account, master, true},
		{"kind as later versions may say it", func(z *Zone) { z.Kind = "Secondary" }, account, master, true},
		{"kind in capitals", func(z *Zone) { z.Kind = "SLAVE" }, account, master, true},
		{"native", func(z *Zone) { z.Kind = "Native" }, account, master, false},
		{"consumer", func(z *Zone) { z.Kind = "Consumer" }, account, master, false},
		{"no kind", func(z *Zone) { z.Kind = "" }, account, master, false},
		{"other account", func(z *Zone) { z.Account = "ops" }, account, master, false},
		{"account in capitals", func(z *Zone) { z.Account = "PDNS-DISTRIBUTE" }, account, master, false},
		{"no account on both sides", func(z *Zone) { z.Account = "" }, "", master, false},
		{"no master", func(z *Zone) { z.Masters = nil }, account, master, false},
		{"other port", func(z *Zone) { z.Masters = []string{"127.0.0.1:5400"} }, account, master, false},
		{"no port", func(z *Zone) { z.Masters = []string{"127.0.0.1"} }, account, master, false},
		{"second master", func(z *Zone) { z.Masters = []string{master, "192.0.2.1"} }, account, master, false},
		{"the same twice", func(z *Zone) { z.Masters = []string{master, master} }, account, master, false},
		{"master that is no address", func(z *Zone) { z.Masters = []string{"x"} }, account, master, false},
		{"empty on both sides", func(z *Zone) { z.Masters = []string{""} }, account, "", false},
		{"port 53 is not printed", func(z *Zone) { z.Masters = []string{"127.0.0.1"} }, account, "127.0.0.1:53", true},
		{"IPv6", func(z *Zone) { z.Masters = []string{"[::1]:5399"} }, account, "[0:0::1]:5399", true},
		{"IPv6, port 53", func(z *Zone) { z.Masters = []string{"::1"} }, account, "[::1]:53", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			zone := ours
			tt.change(&zone)
			if got := zone.OwnedBy(tt.account, tt.master); got != tt.want {
				t.Errorf("owned %v, want %v", got, tt.want)
			}
		})
	}
}

func TestZoneID(t *testing.T) {
	for zone, want := range map[string]string{
		".":                          "=2E",
		"Example.org.":               "Example.org.",
		"0/26.2.0.192.in-addr.arpa.": "0=2F26.2.0.192.in-addr.arpa.",
		"_x.example.":                "=5Fx.example.",
		`a\.b.example.`:              "a=5C.b.example.",
		`\200.example.`:              "=5C200.example.",
		"*.example.":                 "=2A.example.",
	} {
		if got := zoneID(zone); got != want {
			t.Errorf("zoneID(%q) = %q, want %q", zone, got, want)
		}
	}
}

// A zone as 4.7 prints it, as 5.0 may, and as a list without DNSSEC has it.
func TestZoneJSON(t *testing.T) {
	tests := []struct {
		name, text string
		want       Zone
	}{
		{"4.7", `{"account": "a", "api_rectify": false, "catalog": "", "dnssec": true, "edited_serial": 4294967295, "id": "X.example.",
			"kind": "Slave", "last_check": 1795397290, "master_tsig_key_ids": [], "masters": ["127.0.0.1:5399"], "name": "X.example.",
			"notified_serial": 0, "nsec3narrow": true, "nsec3param": "1 0 0 -", "rrsets": [], "serial": 4294967294, "slave_tsig_key_ids": [],
			"soa_edit": "", "soa_edit_api": "", "url": "/api/v1/servers/localhost/zones/X.example."}`,
			Zone{Name: "x.example.", Kind: "Slave", Account: "a", Masters: []string{"127.0.0.1:5399"}, Serial: 4294967294,
				EditedSerial: 4294967295, DNSSEC: true, LastCheck: 1795397290, NSEC3Param: "1 0 0 -", NSEC3Narrow: true}},
		{"later", `{"name": "x.example.", "kind": "Secondary", "masters": [], "catalog": "c.example.", "presigned": true, "new_in_5": {}}`,
			Zone{Name: "x.example.", Kind: "Secondary", Masters: []string{}, Catalog: "c.example.", Presigned: true}},
		{"list", `{"name": "x.example.", "kind": "Native", "serial": 7}`, Zone{Name: "x.example.", Kind: "Native", Serial: 7}},
	}
	for _, tt := range tests {
		var z zoneJSON
		if err := json.Unmarshal([]byte(tt.text), &z); err != nil {
			t.Fatal(err)
		}
		got, err := z.zone()
		if err != nil {
			t.Fatal(err)
		}
		have, _ := json.Marshal(got)
		want, _ := json.Marshal(tt.want)
		if string(have) != string(want) {
			t.Errorf("%s: %s, want %s", tt.name, have, want)
		}
	}
}
