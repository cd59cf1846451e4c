package upkeep

import (
	"context"
	"errors"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// resumeHolds has every hold that waits for a decision shown: its workflow was
// lost with Temporal's data, or could not be told of it.
func (u *Upkeep) resumeHolds(ctx context.Context) (created []string, err error) {
	held, err := u.Holds.All(ctx)
	if err != nil {
		return nil, err
	}
	waiting := make(map[string]bool)
	for _, change := range held {
		if change.Decision != pdns.Rejected {
			waiting[change.Hold()] = true
		}
	}
	var failed []error
	for hold := range waiting {
		failed = append(failed, u.Resume(ctx, hold))
	}
	return nil, errors.Join(failed...)
}
