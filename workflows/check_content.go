package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// wholeSample is all zones, in percent.
const wholeSample = 100

// CheckContentResult is the report of a check of content.
type CheckContentResult struct{ SweepResult }

// CheckContent exports zones afresh, compares the digest of what every secondary
// really holds with what is published, and has transferred again what differs: a
// record edited by hand, one that was lost, a wrong TTL, which no serial tells.
// It is a singleton: see singleton.go.
func CheckContent(ctx workflow.Context, in CheckInput) (CheckContentResult, error) {
	if in.Sample == 0 && in.Carried == nil {
		in.Sample = wholeSample
	}
	var result CheckContentResult
	s := sweep{
		check: ContentCheck, result: &result.SweepResult, survey: surveyor.SurveyContent, compare: secondary.CompareContent,
		show: func(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, result.Markdown()) },
	}
	return singleton(ctx, ContentCheck, in, &result, func(ctx workflow.Context, in CheckInput) error {
		s.share = shareOf(result.StartedAt, in)
		return s.run(ctx)
	})
}

// shareOf is the part of all zones whose turn it is today.
func shareOf(now time.Time, in CheckInput) pdns.Share {
	const day = 24 * 60 * 60
	return pdns.Share{Percent: in.Sample, Turn: now.Unix() / day}
}

// Markdown renders the report for the web UI.
func (r CheckContentResult) Markdown() string { return r.markdown("content check") }
