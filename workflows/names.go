// Package workflows says what happens in which order: durable, retried and
// inspectable in Temporal. A workflow is started or signalled by a trigger, calls
// activities on the primaries' and the secondaries' task queues, and touches
// neither network, clock nor file itself.
//
// The names in this file are a wire contract: people and scripts start,
// signal and query workflows by them (testdata/names.golden holds them).
package workflows

import "go.temporal.io/sdk/temporal"

// Workflow types.
const (
	SyncZoneType           = "SyncZone"
	SyncZonesType          = "SyncZones"
	ReconcileSecondaryType = "ReconcileSecondary"
	CheckHealthType        = "CheckHealth"
	ScanPrimaryType        = "ScanPrimary"
	HoldChangeType         = "HoldChange"
	CheckSignaturesType    = "CheckSignatures"
	CheckContentType       = "CheckContent"
	EnforceNSEC3Type       = "EnforceNSEC3"
)

// Signals and queries and updates.
const (
	// SignalZoneChanged says "look at this zone again"; payload [ZoneChange].
	SignalZoneChanged = "zone-changed"
	// SignalReconcile asks a running ReconcileSecondary for one more round;
	// payload [ReconcileSecondaryInput].
	SignalReconcile = "reconcile"
	// SignalCheck asks the run of a check that is at work for more; payload
	// [CheckInput].
	SignalCheck = "check"
	// SignalHeld says "look at this hold again"; no payload.
	SignalHeld = "held"
	// SignalApprove and SignalReject decide about a hold; payload [HoldDecision].
	SignalApprove = "approve"
	SignalReject  = "reject"
	// QueryStatus returns a workflow's state as readable JSON.
	QueryStatus = "status"
	// UpdateSync asks SyncZone for an export and waits until every secondary
	// has answered or is lagging; payload [ZoneChange], result [SyncZoneResult].
	UpdateSync = "sync"
)

// Task queues. PrimaryQueue is shared by all primaries; a host's own queue
// carries its ID.
const (
	WorkflowQueue = "pdns-distribute"
	PrimaryQueue  = "pdns-primary"
)

// PrimaryHostQueue is the task queue of one primary.
func PrimaryHostQueue(id string) string { return "pdns-primary." + id }

// SecondaryHostQueue is the task queue of one secondary.
func SecondaryHostQueue(id string) string { return "pdns-secondary." + id }

// SyncZoneID is the workflow ID of the one sync of a zone (canonical, with its
// final dot): the same zone has the same ID, so a second change joins the
// running sync and order holds.
func SyncZoneID(zone string) string { return "sync-zone/" + zone }

// SyncZonesID is the workflow ID of one batch.
func SyncZonesID(batch string) string { return "sync-zones/" + batch }

// ReconcileSecondaryID is the workflow ID of the one reconcile of a secondary.
func ReconcileSecondaryID(id string) string { return "reconcile-secondary/" + id }

// HoldChangeID is the workflow ID of the one hold of that name.
func HoldChangeID(hold string) string { return "held/" + hold }

// What started a workflow; the search attribute Trigger.
const (
	TriggerEvent       = "event"
	TriggerManual      = "manual"
	TriggerReturn      = "return"
	TriggerHealthCheck = "health-check"
	TriggerScan        = "scan"
	// TriggerApproval: a person approved what the guard held.
	TriggerApproval = "approval"

	TriggerSignatureCheck = "signature-check"
	TriggerContentCheck   = "content-check"
	TriggerNSEC3Policy    = "nsec3-policy"
)

// How a sync ended; the search attribute Outcome.
const (
	OutcomeInSync  = "in-sync"
	OutcomePartial = "partial"
	// OutcomeHeld: the guard keeps a change from publication, see HoldChange.
	OutcomeHeld   = "held"
	OutcomeFailed = "failed"
	// OutcomeSkipped: the zone is not distributed, the secondary is paused, the
	// scan's turn has not come, or the NSEC3 policy is off.
	OutcomeSkipped = "skipped"
)

// Search attributes by name. All are keywords; Zone is a keyword list, since a
// batch has several.
const (
	AttributeZone      = "Zone"
	AttributeSecondary = "Secondary"
	AttributeTrigger   = "Trigger"
	AttributeOutcome   = "Outcome"
)

var (
	zoneAttribute      = temporal.NewSearchAttributeKeyKeywordList(AttributeZone)
	secondaryAttribute = temporal.NewSearchAttributeKeyKeyword(AttributeSecondary)
	triggerAttribute   = temporal.NewSearchAttributeKeyKeyword(AttributeTrigger)
	outcomeAttribute   = temporal.NewSearchAttributeKeyKeyword(AttributeOutcome)
)
