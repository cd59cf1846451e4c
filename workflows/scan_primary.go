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
	if err := s.scan(ctx, asked); err != nil {
		return err
	}
	if s.waits(ctx) {
		asked.Paced = false
		if err := s.scan(ctx, asked); err != nil {
			return err
		}
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

func (s *primaryScan) scan(ctx workflow.Context, asked activities.ScanZonesInput) error {
	s.result.Scan = activities.ScanZonesResult{}
	return workflow.ExecuteActivity(scanning(ctx), scanner.ScanZones, asked).Get(ctx, &s.result.Scan)
}

// longestTurn is how long a scan waits for its turn where listing the zones has taken
// its share of the time: without it every other scan would be left out as soon as
// listing takes a little more. A turn that is later is left to a later scan.
// changeTurn names that change of the workflows.
const (
	longestTurn = time.Minute
	changeTurn  = "scan-waits-for-its-turn"
)

// waits returns false where there is nothing to wait for, or for too long. Else it
// returns when the scan's turn comes, or somebody else than its schedule asks for one.
func (s *primaryScan) waits(ctx workflow.Context) bool {
	turn := s.result.Scan.LeftOut.Sub(workflow.Now(ctx))
	if s.result.Scan.LeftOut.IsZero() || turn > longestTurn || workflow.GetVersion(ctx, changeTurn, workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return false
	}
	s.result.Phase = "waiting for its turn"
	defer func() { s.result.Phase = "" }()
	waiting, cancel := workflow.WithCancel(ctx)
	defer cancel()
	over := false
	selector := workflow.NewSelector(ctx).
		AddFuture(workflow.NewTimer(waiting, turn), func(workflow.Future) { over = true }).
		AddReceive(workflow.GetSignalChannel(ctx, SignalCheck), func(requests workflow.ReceiveChannel, _ bool) {
			var request CheckInput // served by the scan that begins now
			requests.Receive(ctx, &request)
			over = over || request.Trigger != TriggerScan
		})
	for !over {
		selector.Select(ctx)
	}
	return true
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
