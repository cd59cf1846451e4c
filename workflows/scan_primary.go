package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// ScanPrimaryResult is the report of a scan.
type ScanPrimaryResult struct {
	CheckRun
	Scan activities.ScanZonesResult `json:"scan,omitzero"`
}

// ScanPrimary finds changes made past the api-proxy and has them synced. It does
// not wait for the syncs. It is a singleton: see singleton.go.
func ScanPrimary(ctx workflow.Context, in CheckInput) (ScanPrimaryResult, error) {
	s := primaryScan{trigger: in.Trigger}
	return singleton(ctx, PrimaryScan, in, &s.result, s.round)
}

type primaryScan struct {
	trigger string
	result  ScanPrimaryResult
}

func (s *primaryScan) round(ctx workflow.Context, in CheckInput) error {
	asked := activities.ScanZonesInput{Trigger: TriggerScan, Paced: s.trigger == TriggerScan && !in.Fresh}
	s.result.Scan = activities.ScanZonesResult{}
	if err := workflow.ExecuteActivity(scanning(ctx), scanner.ScanZones, asked).Get(ctx, &s.result.Scan); err != nil {
		return err
	}
	scan := s.result.Scan
	s.result.Found = countsOf(map[string]int{
		"unpublished": scan.New.Unpublished, "changed": scan.New.Changed, "gone": scan.New.Gone, "stale": scan.New.Stale,
	})
	s.result.Repaired = scan.Started
	drift := scan.Drift
	switch {
	case !scan.LeftOut.IsZero():
		s.result.Outcome = OutcomeSkipped
	case drift.Unpublished+drift.Changed+drift.Gone+drift.Stale > 0:
		s.result.Outcome = OutcomePartial
	}
	return nil
}

// Markdown renders the report for the web UI.
func (r ScanPrimaryResult) Markdown() string {
	if !r.Scan.LeftOut.IsZero() {
		return fmt.Sprintf("left out: listing the zones of primary %s takes so long that it is done again after %s", r.Scan.Primary, r.Scan.LeftOut.Format(time.RFC3339))
	}
	text := fmt.Sprintf("%s\n\nprimary %s: %d zones, %s%s", r.markdown("scan of the primary"), r.Scan.Primary, r.Scan.Zones, driftText(r.Scan.Drift), leftOutText(r.Scan.NotDistributed))
	if len(r.Scan.Drift.Names) > 0 || r.Scan.Started > 0 {
		text += fmt.Sprintf("; %d syncs started, %d left for the next scans: %s", r.Scan.Started, r.Scan.Waiting, strings.Join(r.Scan.Drift.Names, ", "))
	}
	return text
}

// leftOutText is "; not distributed: 1 Producer", empty where all zones are.
func leftOutText(kinds map[string]int) string {
	if len(kinds) == 0 {
		return ""
	}
	return "; not distributed: " + countsText(kinds)
}

func driftText(d activities.DriftCounts) string {
	return fmt.Sprintf("%d not published, %d changed, %d gone, %d with old signatures", d.Unpublished, d.Changed, d.Gone, d.Stale)
}
