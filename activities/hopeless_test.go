package activities

import (
	"errors"
	"fmt"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/pdns/api"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

func TestHopelessIsWhatTimeDoesNotMend(t *testing.T) {
	cannotHold := fmt.Errorf("create the zone: %w: %w", errCannotHold, &api.Error{Status: http.StatusUnprocessableEntity})
	for _, err := range []error{cannotHold, fmt.Errorf("export: %w", transfer.ErrRefused), badInput("no zone")} {
		require.True(t, hopeless(err), "%v", err)
	}
	for _, err := range []error{nil, errors.New("timeout"), &api.Error{Status: http.StatusInternalServerError}, transfer.ErrChanged} {
		require.False(t, hopeless(err), "%v", err)
	}
	var app *temporal.ApplicationError
	require.ErrorAs(t, classify(cannotHold), &app)
	require.Equal(t, ErrTypeCannotHold, app.Type())
}

// One zone that can never work must not have a whole batch tried again.
func TestHopelessZonesAreSetAside(t *testing.T) {
	exported := batchResult{ZonesResult: ZonesResult{Outcomes: make(map[string]int)}}
	exported.note("narrow.example.", ExportZoneResult{}, fmt.Errorf("export: %w", transfer.ErrRefused))
	exported.note("good.example.", ExportZoneResult{Outcome: ExportPublished}, nil)
	require.Zero(t, exported.failed)
	require.Equal(t, []string{"narrow.example."}, exported.Alone)
	require.Contains(t, exported.Reason, "narrow.example.")

	applied := brought{outcomes: make(map[string]int)}
	applied.note(`a\.b.example.`, "", fmt.Errorf("create the zone: %w", errCannotHold))
	require.NoError(t, applied.failure())
	require.Contains(t, applied.reason(), `a\.b.example.`)
	applied.note("slow.example.", "", errors.New("timeout"))
	require.ErrorContains(t, applied.failure(), "slow.example.")
	require.Equal(t, map[string]int{"failed": 2}, applied.outcomes)
}
