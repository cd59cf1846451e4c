// Package broker connects to NATS, over TLS and with credentials only, and
// makes what the system keeps there: the streams of zone events and the buckets
// of versions, snapshots and secondaries.
package broker

// What the system keeps in NATS. The names are a contract: other programs
// publish to the events and operators look into the buckets.
const (
	// StreamEvents holds the zone events until the trigger has handed them to
	// Temporal.
	StreamEvents = "ZONE_EVENTS"
	// StreamDead holds events that can never work, each with its reason.
	StreamDead = "ZONE_DEAD"
	// SubjectDead is the subject of StreamDead.
	SubjectDead = "zone.dead"
	// BucketZones is the key-value bucket of the newest version of each zone.
	BucketZones = "pdns-zones"
	// BucketSecondaries is the key-value bucket of the roster.
	BucketSecondaries = "pdns-secondaries"
	// BucketGuard is the key-value bucket of what the guard remembers: the deletes
	// of late, and the key of the proofs that events carry. Only primaries may
	// read it.
	BucketGuard = "pdns-guard"
	// BucketHeld is the key-value bucket of the changes that the guard holds.
	BucketHeld = "pdns-held"
	// BucketSnapshots is the object store of content too large for BucketZones.
	BucketSnapshots = "pdns-snapshots"
)

// Headers of a message in StreamDead.
const (
	// HeaderReason says why the event can never work.
	HeaderReason = "Pdns-Distribute-Reason"
	// HeaderSubject is the subject that the event came on.
	HeaderSubject = "Pdns-Distribute-Subject"
)
