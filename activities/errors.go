package activities

import (
	"errors"
	"fmt"
	"strings"

	"go.temporal.io/sdk/temporal"

	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/transfer"
)

// Types of application errors that workflows tell apart. Registered names: they
// stand in histories.
const (
	// ErrTypeNewerApplied says that a zone must be published above a version: a
	// secondary already serves that one, above the newest published, so the bucket
	// is younger than the secondary's state; or that one, or its content, is lost.
	// Details: the version (int64).
	ErrTypeNewerApplied = "NewerApplied"
	// ErrTypeRefused says that PowerDNS refuses to hand out the zone;
	// trying again helps only after an operator mended something.
	ErrTypeRefused = "TransferRefused"
	// ErrTypeCannotHold says that a secondary's PowerDNS refuses to make the
	// zone, as its API (4.7 to 5.0) does where the name has octets other than
	// letters, digits, '-', '_', '/' and '.'.
	ErrTypeCannotHold = "CannotHold"
	// ErrTypeRunFailed says that a run of a workflow that was waited for failed.
	ErrTypeRunFailed = "RunFailed"
	// ErrTypePaused says that the secondary is paused.
	ErrTypePaused = "Paused"
	// ErrTypeBadInput says that the input can never work.
	ErrTypeBadInput = "BadInput"
)

// classify decides, for all activities, which errors are worth another try.
// Everything is, unless it is known that time alone does not help. What says so
// must be the outermost error: Temporal looks at no other.
func classify(err error) error {
	if err == nil {
		return nil
	}
	var app *temporal.ApplicationError
	applied, newer := newerThanPublished(err)
	switch {
	case newer:
		return temporal.NewNonRetryableApplicationError(message(err), ErrTypeNewerApplied, nil, applied)
	case errors.As(err, &app):
		return temporal.NewApplicationErrorWithOptions(message(err), app.Type(), temporal.ApplicationErrorOptions{NonRetryable: app.NonRetryable()})
	case errors.Is(err, transfer.ErrRefused):
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrTypeRefused, err)
	case errors.Is(err, errPaused):
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrTypePaused, err)
	case errors.Is(err, errCannotHold):
		return temporal.NewNonRetryableApplicationError(err.Error(), ErrTypeCannotHold, err)
	}
	return err
}

// message is what an error says, without what Temporal adds to the text of its own.
func message(err error) string {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) {
		return err.Error()
	}
	return strings.Replace(err.Error(), app.Error(), app.Message(), 1)
}

// ErrNeverSynced marks a zone whose sync nothing can start, as a [Starter] or
// [Syncs] says: its name makes too long a workflow ID.
var ErrNeverSynced = errors.New("can never be synced alone")

// errPaused marks that a secondary is paused.
var errPaused = errors.New("paused")

func pausedError(secondary string) error {
	return fmt.Errorf("secondary %s is %w and gets nothing; `pdns-distribute resume %[1]s` ends that", secondary, errPaused)
}

// errCannotHold marks that PowerDNS refuses to make a zone.
var errCannotHold = errors.New("this PowerDNS cannot hold a zone of that name")

// hopeless says that time alone does not help. Where many zones go together,
// such a one must not have the others tried again and again.
func hopeless(err error) bool {
	var app *temporal.ApplicationError
	return errors.As(classify(err), &app) && app.NonRetryable()
}

// badInput is an error that no retry mends.
func badInput(format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return temporal.NewNonRetryableApplicationError(err.Error(), ErrTypeBadInput, err)
}

// newerApplied tells the workflow to have the zone exported above applied.
func newerApplied(v pdns.Version, secondary string, applied int64) error {
	message := fmt.Sprintf("secondary %s serves version %d of zone %s, above the newest published %d: the bucket is younger than the secondary; it must be exported again",
		secondary, applied, v.Zone, v.Version)
	return temporal.NewNonRetryableApplicationError(message, ErrTypeNewerApplied, nil, applied)
}

// contentLost tells the workflow to have the zone exported above v, the newest,
// whose content NATS does not have.
func contentLost(v pdns.Version, secondary string) error {
	message := fmt.Sprintf("the content of zone %s version %d, the newest, is lost in NATS (secondary %s asked for it twice); it must be exported again",
		v.Zone, v.Version, secondary)
	return temporal.NewNonRetryableApplicationError(message, ErrTypeNewerApplied, nil, v.Version)
}

// versionLost tells of a NATS that shows an older version than a sync has published:
// its answer is stale, or the bucket was lost since, and the zone must be exported again.
func versionLost(zone string, shown, published int64, stale bool) error {
	message := fmt.Sprintf("NATS shows version %d of zone %s, the sync published %d", shown, zone, published)
	if stale {
		return fmt.Errorf("%s: its answer is stale", message)
	}
	return temporal.NewNonRetryableApplicationError(message+": NATS has lost that; it must be exported again", ErrTypeNewerApplied, nil, published)
}

// newerThanPublished recognises these errors and returns the version to be
// published above.
func newerThanPublished(err error) (applied int64, is bool) {
	var app *temporal.ApplicationError
	if !errors.As(err, &app) || app.Type() != ErrTypeNewerApplied {
		return 0, false
	}
	return applied, app.Details(&applied) == nil
}
