package pdns_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestPlanScan(t *testing.T) {
	roll := time.Date(2026, 11, 19, 0, 0, 0, 0, time.UTC)
	fresh := roll.AddDate(0, 0, 14)
	newest := map[string]pdns.Version{}
	for _, v := range []pdns.Version{
		{Zone: "same.", Serial: 7},
		{Zone: "higher.", Serial: 7},
		{Zone: "lower.", Serial: 7},
		{Zone: "wrapped.", Serial: 4294967295},
		{Zone: "now-signed.", Serial: 7},
		{Zone: "unsigned-now.", Serial: 7, Signed: true, Expires: fresh},
		{Zone: "gone.", Serial: 7},
		{Zone: "gone-long-ago.", Deleted: true},
		{Zone: "back.", Deleted: true},
		{Zone: "old-signatures.", Serial: 7, Signed: true, Expires: fresh.AddDate(0, 0, -7)},
		{Zone: "new-signatures.", Serial: 7, Signed: true, Expires: fresh},
		{Zone: "presigned.", Serial: 7, Signed: true, Expires: fresh.AddDate(0, 0, -7).Add(time.Hour), Time: roll.AddDate(0, 0, -7)},
		{Zone: "old-unsigned.", Serial: 7, Time: roll.Add(-time.Hour)},
		{Zone: "made-meanwhile.", Serial: 7, Time: roll.Add(time.Second)},
		{Zone: "changed-meanwhile.", Serial: 8, Time: roll.Add(time.Second)},
		{Zone: "deleted-meanwhile.", Deleted: true, Time: roll.Add(time.Second)},
		{Zone: "gone-by-a-wrong-clock.", Serial: 7, Time: roll.Add(time.Hour)},
	} {
		newest[v.Zone] = v
	}
	drift := pdns.PlanScan([]pdns.Listed{
		{Zone: "wrapped.", Serial: 0},
		{Zone: "same.", Serial: 7}, {Zone: "higher.", Serial: 8}, {Zone: "lower.", Serial: 6},
		{Zone: "now-signed.", Serial: 7, Signed: true}, {Zone: "unsigned-now.", Serial: 7},
		{Zone: "back.", Serial: 1}, {Zone: "new.", Serial: 1},
		{Zone: "old-signatures.", Serial: 7, Signed: true}, {Zone: "new-signatures.", Serial: 7, Signed: true},
		{Zone: "old-unsigned.", Serial: 7}, {Zone: "presigned.", Serial: 7, Signed: true},
		{Zone: "changed-meanwhile.", Serial: 7}, {Zone: "deleted-meanwhile.", Serial: 7},
	}, newest, roll)
	require.Equal(t, pdns.Drift{
		Unpublished: []string{"back.", "new."},
		Changed:     []string{"higher.", "lower.", "now-signed.", "unsigned-now.", "wrapped."},
		Gone:        []string{"gone-by-a-wrong-clock.", "gone."},
		Stale:       []string{"old-signatures."},
	}, drift)
	require.Len(t, drift.Wrong(), 9)
	require.IsIncreasing(t, drift.Wrong())
}

func TestPlanScanOfNothingPublished(t *testing.T) {
	drift := pdns.PlanScan([]pdns.Listed{{Zone: "a."}}, nil, time.Time{})
	require.Equal(t, pdns.Drift{Unpublished: []string{"a."}}, drift)
}
