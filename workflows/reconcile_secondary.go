package workflows

import (
	"errors"
	"fmt"
	"math"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
)

// ReconcileSecondaryResult says what a full compare of one secondary found in
// its last round.
type ReconcileSecondaryResult struct {
	Secondary string                          `json:"secondary"`
	Outcome   string                          `json:"outcome"`
	Reason    string                          `json:"reason,omitempty"`
	Rounds    int                             `json:"rounds"`
	Found     activities.ReconcileZonesResult `json:"found"`
	// Progress says how far a running round is.
	Progress *ReconcileProgress `json:"progress,omitempty"`
	Error    string             `json:"error,omitempty"`
}

// ReconcileProgress is how far a round is.
type ReconcileProgress struct {
	Done  int `json:"done"`
	Total int `json:"total"`
	// Rate is zones a second since the round began.
	Rate float64 `json:"rate"`
}

// The lengths of a round's pieces: at first short, so that progress shows soon.
const (
	firstPiece   = 2 * time.Second
	longestPiece = 20 * time.Second
)

// ReconcileSecondary compares one secondary in full with the newest versions
// and repairs what differs. One runs a secondary; asked again meanwhile, it does
// one more round.
func ReconcileSecondary(ctx workflow.Context, in ReconcileSecondaryInput) (ReconcileSecondaryResult, error) {
	if in.Secondary == "" {
		return ReconcileSecondaryResult{}, temporal.NewNonRetryableApplicationError(
			`ReconcileSecondary needs {"secondary":"<id>"}; pdns-distribute status lists them`, activities.ErrTypeBadInput, nil)
	}
	r := &secondaryReconcile{in: in, requests: workflow.GetSignalChannel(ctx, SignalReconcile)}
	r.result = ReconcileSecondaryResult{Secondary: in.Secondary, Reason: in.Reason}
	r.adopt, r.adoptAll = in.Adopt, in.AdoptAll
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (ReconcileSecondaryResult, error) { return r.result, nil }); err != nil {
		return ReconcileSecondaryResult{}, err
	}
	return r.run(ctx)
}

type secondaryReconcile struct {
	in       ReconcileSecondaryInput
	requests workflow.ReceiveChannel
	result   ReconcileSecondaryResult
	// adopt and adoptAll are what the next round shall take over.
	adopt    []string
	adoptAll bool
}

func (r *secondaryReconcile) run(ctx workflow.Context) (ReconcileSecondaryResult, error) {
	trigger := r.in.Trigger
	if trigger == "" {
		trigger = TriggerManual
	}
	if _, there := workflow.GetTypedSearchAttributes(ctx).GetKeyword(secondaryAttribute); !there {
		err := workflow.UpsertTypedSearchAttributes(ctx, secondaryAttribute.ValueSet(r.in.Secondary), triggerAttribute.ValueSet(trigger))
		if err != nil {
			return r.result, err
		}
	}
	for again := true; again; again = r.drain() {
		r.drain() // requests until now are served by this round
		r.round(ctx)
	}
	return r.result, workflow.UpsertTypedSearchAttributes(ctx, outcomeAttribute.ValueSet(r.result.Outcome))
}

// drain takes all requests that have arrived and says whether there were any.
func (r *secondaryReconcile) drain() bool {
	any := false
	for {
		var request ReconcileSecondaryInput
		if !r.requests.ReceiveAsync(&request) {
			return any
		}
		any = true
		r.result.Reason = request.Reason
		r.adopt = append(r.adopt, request.Adopt...)
		r.adoptAll = r.adoptAll || request.AdoptAll
	}
}

func (r *secondaryReconcile) round(ctx workflow.Context) {
	r.result.Rounds++
	workflow.SetCurrentDetails(ctx, fmt.Sprintf("comparing all zones of **%s** (%s)", r.in.Secondary, r.result.Reason))
	found, err := r.pieces(ctx)
	r.result.Found, r.result.Progress, r.result.Error, r.result.Outcome = found, nil, "", OutcomeInSync
	var app *temporal.ApplicationError
	switch {
	case errors.As(err, &app) && app.Type() == activities.ErrTypePaused:
		r.result.Outcome, r.result.Error = OutcomeSkipped, failureText(err)
	case err != nil:
		r.result.Outcome, r.result.Error = OutcomeFailed, failureText(err)
	case found.Blocked+found.Unknown+found.Ahead+found.Failed > 0:
		r.result.Outcome, r.result.Error = OutcomePartial, found.Reason
	}
	workflow.SetCurrentDetails(ctx, r.result.Markdown())
}

// pieces has the secondary compared in full, piece by piece, and shows how far it
// is.
func (r *secondaryReconcile) pieces(ctx workflow.Context) (activities.ReconcileZonesResult, error) {
	began := workflow.Now(ctx)
	in := activities.ReconcileZonesInput{
		Compare: fmt.Sprintf("%s/%d", workflow.GetInfo(ctx).WorkflowExecution.RunID, r.result.Rounds), Within: firstPiece,
		Adopt: r.adopt, AdoptAll: r.adoptAll,
	}
	r.adopt, r.adoptAll = nil, false
	var all activities.ReconcileZonesResult
	for {
		var piece activities.ReconcileZonesResult
		if err := workflow.ExecuteActivity(reconciling(ctx, r.in.Secondary), secondary.ReconcileZones, in).Get(ctx, &piece); err != nil {
			return all, err
		}
		all.Add(piece)
		if piece.Remaining == 0 {
			return all, nil
		}
		seconds := max(1, workflow.Now(ctx).Sub(began).Seconds())
		r.result.Found = all
		r.result.Progress = &ReconcileProgress{Done: all.Done(), Total: all.Done() + piece.Remaining, Rate: math.Round(float64(all.Done()) / seconds)}
		workflow.SetCurrentDetails(ctx, r.result.Markdown())
		in.Within = min(2*in.Within, longestPiece)
	}
}

// Markdown renders the result for the web UI.
func (r ReconcileSecondaryResult) Markdown() string {
	text := fmt.Sprintf("**%s** %s: %d zones published, %d current, %d brought, %d deleted, %d adopted, %d foreign (%d in the way), %d unknown, %d ahead, %d refused",
		r.Secondary, r.Outcome, r.Found.Zones, r.Found.Current, r.Found.Applied, r.Found.Deleted, r.Found.Adopted, r.Found.Foreign, r.Found.Blocked, r.Found.Unknown, r.Found.Ahead, r.Found.Failed)
	if p := r.Progress; p != nil {
		text += fmt.Sprintf("\n\n%d of %d zones done, %.0f a second", p.Done, p.Total, p.Rate)
	}
	if r.Error != "" {
		text += "\n\n" + r.Error
	}
	return text
}
