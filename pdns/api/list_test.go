package api

import (
	"encoding/json"
	"strings"
	"testing"
)

// A list is all of it, or an error: what is cut off must never look like fewer zones.
func TestZoneList(t *testing.T) {
	const whole = ` [{"name":"A.example.","kind":"Slave","masters":["192.0.2.1"],"account":"a"}, {"name":"b.example.","kind":"Slave","masters":["192.0.2.1"],"account":"a"}] `
	read := func(text string) ([]Zone, error) {
		var zones []Zone
		err := eachZone(json.NewDecoder(strings.NewReader(text)), func(zone Zone) bool {
			zones = append(zones, zone)
			return true
		})
		return zones, err
	}
	zones, err := read(whole)
	if err != nil || len(zones) != 2 || zones[0].Name != "a.example." || zones[1].Masters[0] != "192.0.2.1" || zones[1].Account != "a" {
		t.Errorf("%+v, %v", zones, err)
	}
	if zones, err = read("[]"); err != nil || len(zones) != 0 {
		t.Errorf("no zones: %v, %v", zones, err)
	}
	if zones, err = read(`[{"name":"a.example."},{"name":"a.example..office"},{"name":"b.example."}]`); err != nil || len(zones) != 2 || zones[1].Name != "b.example." {
		t.Errorf("with a variant: %v, %v", zones, err)
	}
	end := strings.LastIndex(whole, "]")
	for at := range end {
		if zones, err = read(whole[:at]); err == nil {
			t.Errorf("cut off after %d octets: %v", at, zones)
		}
	}
	for _, text := range []string{"null", `{"error":"x"}`, `"x"`, `[{"name":"a.example."},null]`, `[{"name":""}]`, `[{"name":"a..example."}]`, `[[]]`, `[{"name":"a.example."}}`} {
		if zones, err = read(text); err == nil {
			t.Errorf("%s: %v", text, zones)
		}
	}
}
