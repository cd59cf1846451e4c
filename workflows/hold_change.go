package workflows

import (
	"fmt"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

const (
	// reviewEvery is how often a hold is looked at without a signal: a zone that
	// is restored past the API sends none.
	reviewEvery = time.Minute
	// reviewSoon is the first wait after a decision, while approved changes are
	// on their way. Each further one is twice as long, up to reviewEvery.
	reviewSoon = 2 * shortestTimer
)

// HoldChangeResult says what a hold is made of and what was decided about it.
type HoldChangeResult struct {
	Hold    string `json:"hold"`
	Outcome string `json:"outcome"`
	// Held is what the hold was made of when last looked at.
	Held activities.HoldReview `json:"held"`
	// Decision is the last decision and what became of it.
	Decision *HoldDecided `json:"decision,omitempty"`
	Error    string       `json:"error,omitempty"`
}

// HoldDecided is a decision that was carried out, or was about something else.
type HoldDecided struct {
	Decision pdns.Decision `json:"decision"`
	Digest   string        `json:"digest"`
	// Decided counts the changes that it reached.
	Decided int    `json:"decided"`
	Error   string `json:"error,omitempty"`
}

// HoldChange shows what the guard holds under one name and takes a person's
// decision about it. One runs a hold, from when something is held until all of it
// is decided, published, or not asked for any more.
func HoldChange(ctx workflow.Context, in HoldChangeInput) (HoldChangeResult, error) {
	hold, err := pdns.HoldOf(in.Hold)
	if err != nil {
		return HoldChangeResult{}, temporal.NewNonRetryableApplicationError(
			fmt.Sprintf(`HoldChange needs {"hold":"deletes"} or {"hold":"shrink/example.org."}: %v`, err), activities.ErrTypeBadInput, err)
	}
	h := &holdChange{result: HoldChangeResult{Hold: hold, Outcome: OutcomeHeld}, wait: reviewEvery}
	h.held = workflow.GetSignalChannel(ctx, SignalHeld)
	h.decisions = map[pdns.Decision]workflow.ReceiveChannel{
		pdns.Approved: workflow.GetSignalChannel(ctx, SignalApprove),
		pdns.Rejected: workflow.GetSignalChannel(ctx, SignalReject),
	}
	if err := workflow.SetQueryHandler(ctx, QueryStatus, func() (HoldChangeResult, error) { return h.result, nil }); err != nil {
		return HoldChangeResult{}, err
	}
	return h.run(ctx)
}

type holdChange struct {
	held      workflow.ReceiveChannel
	decisions map[pdns.Decision]workflow.ReceiveChannel
	signals   int
	wait      time.Duration
	result    HoldChangeResult
}

func (h *holdChange) run(ctx workflow.Context) (HoldChangeResult, error) {
	attributes := []temporal.SearchAttributeUpdate{outcomeAttribute.ValueSet(OutcomeHeld)}
	if zone, _ := pdns.ZoneOfHold(h.result.Hold); zone != "" {
		attributes = append(attributes, zoneAttribute.ValueSet([]string{zone}))
	}
	if err := workflow.UpsertTypedSearchAttributes(ctx, attributes...); err != nil {
		return h.result, err
	}
	for {
		h.drain()
		if err := h.decide(ctx); err != nil {
			return h.result, err
		}
		if err := h.review(ctx); err != nil {
			return h.result, err
		}
		switch {
		case h.pending():
		case h.result.Held.Undecided+h.result.Held.Approved == 0:
			return h.finish(ctx)
		case h.signals >= continueAfter || workflow.GetInfo(ctx).GetContinueAsNewSuggested():
			return h.result, workflow.NewContinueAsNewError(ctx, HoldChange, HoldChangeInput{Hold: h.result.Hold})
		default:
			if _, err := workflow.AwaitWithTimeout(ctx, h.wait, h.pending); err != nil {
				return h.result, err
			}
			h.wait = min(2*h.wait, reviewEvery)
		}
	}
}

// pending says that a signal waits.
func (h *holdChange) pending() bool {
	return h.held.Len()+h.decisions[pdns.Approved].Len()+h.decisions[pdns.Rejected].Len() > 0
}

// drain takes what says only "look again".
func (h *holdChange) drain() {
	for h.held.ReceiveAsync(nil) {
		h.signals++
	}
}

// decide carries out the decisions that have arrived, in the order: rejected
// before approved, so that a doubt wins.
func (h *holdChange) decide(ctx workflow.Context) error {
	for _, decision := range []pdns.Decision{pdns.Rejected, pdns.Approved} {
		var wanted HoldDecision
		for h.decisions[decision].ReceiveAsync(&wanted) {
			h.signals++
			h.wait = reviewSoon
			in := activities.DecideHoldInput{Hold: h.result.Hold, Decision: decision, Digest: wanted.Digest}
			var reached activities.DecideHoldResult
			err := workflow.ExecuteActivity(onAnyPrimary(ctx, fmt.Sprintf("%s: %s", decision, h.result.Hold)), primary.DecideHold, in).Get(ctx, &reached)
			if err != nil {
				return err
			}
			h.result.Decision = &HoldDecided{Decision: decision, Digest: wanted.Digest, Decided: reached.Decided}
			if reached.Decided == 0 {
				h.result.Decision.Error = fmt.Sprintf("nothing was %s: the hold is not the one with digest %q any more; look at it again and decide about what is held now", decision, wanted.Digest)
			}
		}
	}
	return nil
}

// review looks at what is held now.
func (h *holdChange) review(ctx workflow.Context) error {
	var review activities.HoldReview
	err := workflow.ExecuteActivity(onAnyPrimary(ctx, "what is held as "+h.result.Hold+"?"), primary.ReviewHold,
		activities.ReviewHoldInput{Hold: h.result.Hold}).Get(ctx, &review)
	if err != nil {
		return err
	}
	h.result.Held = review
	workflow.SetCurrentDetails(ctx, h.result.Markdown())
	return nil
}

// finish ends a hold in which nothing is left to decide: rejected changes stay
// held, all others were published or are not asked for any more.
func (h *holdChange) finish(ctx workflow.Context) (HoldChangeResult, error) {
	if h.result.Held.Rejected == 0 {
		h.result.Outcome = OutcomeInSync
	}
	workflow.SetCurrentDetails(ctx, h.result.Markdown())
	return h.result, workflow.UpsertTypedSearchAttributes(ctx, outcomeAttribute.ValueSet(h.result.Outcome))
}

// Markdown renders the result for the web UI.
func (r HoldChangeResult) Markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "**%s** %s: %d undecided, %d approved and on their way, %d rejected", r.Hold, r.Outcome, r.Held.Undecided, r.Held.Approved, r.Held.Rejected)
	if d := r.Decision; d != nil {
		fmt.Fprintf(&b, "\n\n%s: %d changes, digest %s %s", d.Decision, d.Decided, d.Digest, d.Error)
	}
	if r.Held.Open == 0 {
		return b.String()
	}
	fmt.Fprintf(&b, "\n\nsince %s: %s", r.Held.Since.UTC().Format(time.RFC3339), r.Held.Reason)
	fmt.Fprintf(&b, "\n\n`pdns-distribute approve %s` or `reject`; signals `approve` and `reject` with `{\"digest\":%q}`\n\n", r.Hold, r.Held.Digest)
	for _, zone := range r.Held.Zones {
		fmt.Fprintf(&b, "* %s\n", zone)
	}
	if more := r.Held.Open - len(r.Held.Zones); more > 0 {
		fmt.Fprintf(&b, "* and %d more\n", more)
	}
	return b.String()
}
