package e2e

import (
	"encoding/json"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/miekg/dns"
)

// A zone on a secondary that is not ours stays as it is, whatever the primary does with its own zone of that name; the
// other secondary gets the primary's.
func TestForeignZonesStayUntouched(t *testing.T) {
	parallel(t)
	cases := map[string]struct {
		holder, other int
		made          map[string]any
	}{
		"made by hand": {0, 1, map[string]any{"kind": "Native"}},
		// Nobody listens on port 9: PowerDNS cannot fill the zone, and still it is theirs.
		"other masters":              {1, 0, map[string]any{"kind": "Slave", "masters": []string{"127.0.0.1:9"}}},
		"our account, other masters": {0, 1, map[string]any{"kind": "Slave", "masters": []string{"127.0.0.1:9"}, "account": "pdns-distribute"}},
		"our account, native":        {1, 0, map[string]any{"kind": "Native", "account": "pdns-distribute"}},
	}
	label := 'a'
	for name, c := range cases {
		zone := string(label) + ".foreign.example."
		label++
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			holder, other := secondaries[c.holder], secondaries[c.other]
			c.made["name"], c.made["soa_edit_api"] = zone, ""
			if c.made["kind"] == "Native" {
				c.made["rrsets"] = []rrset{soa(zone, 4000000000), set(zone, "NS", "theirs.example.net."), set("www."+zone, "A", "192.0.2.66")}
			}
			holder.call(t, http.MethodPost, "/zones", c.made)
			before := snapshot(t, holder, zone)
			untouched := func(step string, foreign func(syncStatus) error) {
				t.Helper()
				waitStatus(t, zone, foreign)
				if after := snapshot(t, holder, zone); after != before {
					t.Fatalf("%s: %s changed from\n%s\nto\n%s", step, holder.name, before, after)
				}
			}
			foreign := func(serial uint32, deleted bool) func(syncStatus) error {
				return func(s syncStatus) error {
					return wants(s.of(holder.name).State == "foreign" && s.of(holder.name).Error != "" && s.Outcome == "partial" &&
						s.of(other.name).State == "in-sync" && s.of(other.name).Serial == serial && s.Deleted == deleted,
						"want %s foreign and %s in sync with serial %d", holder.name, other.name, serial)
				}
			}
			primary.create(t, zone, 1, set("www."+zone, "A", "192.0.2.1"))
			untouched("create", foreign(1, false))
			primary.patch(t, zone, set("www."+zone, "A", "192.0.2.2"), soa(zone, 2))
			untouched("change", foreign(2, false))
			must(t, hasAnswer(t.Context(), "www."+zone, dns.TypeA, []string{"192.0.2.2"}, other))
			primary.delete(t, zone)
			untouched("delete", foreign(0, true))
			if _, found := other.zone(t, zone); found {
				t.Errorf("%s still holds the deleted zone", other.name)
			}
		})
	}
}

// snapshot is all that the API says of a zone, but for what PowerDNS itself counts up.
func snapshot(t testing.TB, n *nameserver, zone string) string {
	t.Helper()
	var fields map[string]any
	must(t, json.Unmarshal(n.call(t, http.MethodGet, "/zones/"+zone, nil).body, &fields))
	delete(fields, "last_check")
	text, err := json.MarshalIndent(fields, "", " ")
	must(t, err)
	return string(text)
}

// A zone that only a secondary knows is listed as foreign by the full compare, and left alone.
func TestReconcileReportsForeignZones(t *testing.T) {
	parallel(t)
	const zone = "alone.foreign-reconcile.example."
	secondaries[0].create(t, zone, 1)
	before := snapshot(t, secondaries[0], zone)
	c, err := temporal()
	must(t, err)
	until(t, time.Minute, func() error {
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: "reconcile-secondary/secondary-1", TaskQueue: "pdns-distribute",
			WorkflowIDConflictPolicy: enums.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		}, "ReconcileSecondary", map[string]any{"secondary": "secondary-1"})
		if err != nil {
			return err
		}
		var result struct {
			Outcome string `json:"outcome"`
			Found   struct {
				Foreign      int      `json:"foreign"`
				ForeignZones []string `json:"foreign_zones"`
			} `json:"found"`
			Error string `json:"error"`
		}
		if err := run.Get(t.Context(), &result); err != nil {
			return err
		}
		return wants(slices.Contains(result.Found.ForeignZones, zone), "%s is not among the foreign zones: %+v", zone, result)
	})
	if after := snapshot(t, secondaries[0], zone); after != before {
		t.Fatalf("changed from\n%s\nto\n%s", before, after)
	}
	secondaries[0].delete(t, zone)
}
