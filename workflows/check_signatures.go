package workflows

import (
	"go.temporal.io/sdk/workflow"
)

// CheckSignaturesResult is the report of a check of signatures.
type CheckSignaturesResult struct{ SweepResult }

// CheckSignatures compares the signatures that every secondary serves with those
// that the primary would serve, has a sample of them verified from outside, and
// syncs zones whose signatures end soon or are other ones, although the serial
// is the same. It is a singleton: see singleton.go.
func CheckSignatures(ctx workflow.Context, in CheckInput) (CheckSignaturesResult, error) {
	var result CheckSignaturesResult
	s := sweep{
		check: SignatureCheck, result: &result.SweepResult, survey: surveyor.SurveySignatures,
		compare: secondary.CompareSignatures, outside: surveyor.VerifySignatures,
		show: func(ctx workflow.Context) { workflow.SetCurrentDetails(ctx, result.Markdown()) },
	}
	return singleton(ctx, SignatureCheck, in, &result, func(ctx workflow.Context, _ CheckInput) error { return s.run(ctx) })
}

// Markdown renders the report for the web UI.
func (r CheckSignaturesResult) Markdown() string { return r.markdown("signature check") }
