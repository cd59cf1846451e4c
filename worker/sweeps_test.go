package worker_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/internal/eventually"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/workflows"
)

// TestWorkersCompareAllZones runs the checks that go through all zones, each with
// something to find, and records their histories when RECORD_HISTORIES is set.
func TestWorkersCompareAllZones(t *testing.T) {
	s := newSystem(t)
	zones := []string{"denies.sweep.example.", "plain.sweep.example."}
	for _, zone := range zones {
		s.call(t, http.MethodPost, "/zones", fmt.Sprintf(`{"name":%q,"kind":"Native","soa_edit_api":"","nameservers":["ns1.%s"]}`, zone, zone))
	}
	s.call(t, http.MethodPut, "/zones/"+zones[0], `{"dnssec":true}`)
	for _, zone := range zones {
		require.Equal(t, workflows.OutcomeInSync, s.resync(t, zone).Outcome)
		require.Zero(t, s.result(t, zone).Repaired, "its check from outside, which would repair what is broken next, is over")
	}

	onSecondary := api.New(firstOf(s.stack.Env("SECONDARY_API_URLS")), s.stack.Env("SECONDARY_API_KEY"))
	require.NoError(t, onSecondary.DeleteZone(t.Context(), zones[1])) // what nobody asked for
	var content workflows.CheckContentResult
	s.check(t, workflows.ContentCheck, &content)
	require.Equal(t, workflows.OutcomeInSync, content.Outcome, "%+v", content)
	require.Equal(t, map[string]int{"not served": 1}, content.Found)
	require.Equal(t, 1, content.Repaired)

	s.call(t, http.MethodPost, "/zones/"+zones[0]+"/cryptokeys", `{"keytype":"csk","active":true,"algorithm":"ecdsa384"}`)
	var signatures workflows.CheckSignaturesResult
	s.check(t, workflows.SignatureCheck, &signatures)
	require.Equal(t, workflows.OutcomeInSync, signatures.Outcome, "%+v", signatures)
	require.Equal(t, map[string]int{"different": 2}, signatures.Found, "by itself and from outside")
	require.Equal(t, 2, signatures.Repaired)

	var policy workflows.EnforceNSEC3Result
	s.check(t, workflows.NSEC3Policy, &policy)
	require.Equal(t, workflows.OutcomeInSync, policy.Outcome, "%+v", policy)
	require.Equal(t, zones[:1], policy.Zones)

	var scan workflows.ScanPrimaryResult
	s.check(t, workflows.PrimaryScan, &scan)
	s.checkFor(t, workflows.PrimaryScan, workflows.CheckInput{Trigger: workflows.TriggerScan}, &scan) // too soon, so it waits
	require.Equal(t, workflows.OutcomeInSync, scan.Outcome, "%+v", scan)
	require.Equal(t, 2, scan.Scan.Zones)

	if os.Getenv("RECORD_HISTORIES") != "" {
		s.record(t, workflows.PrimaryScan.ID, "scan_primary_waits")
		s.record(t, workflows.ContentCheck.ID, "check_content")
		s.record(t, workflows.SignatureCheck.ID, "check_signatures")
		s.record(t, workflows.NSEC3Policy.ID, "enforce_nsec3")
	}
}

// check runs a check and takes its report.
func (s system) check(t *testing.T, check workflows.Check, report any) {
	t.Helper()
	s.checkFor(t, check, workflows.CheckInput{}, report)
}

func (s system) checkFor(t *testing.T, check workflows.Check, in workflows.CheckInput, report any) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	run := ""
	eventually.True(t, "Temporal takes "+check.ID, func() bool {
		var err error
		run, err = s.dispatcher.Check(ctx, check, in)
		return err == nil
	})
	require.NoError(t, s.temporal.GetWorkflow(ctx, check.ID, run).Get(ctx, report))
}
