package pdns

import "time"

// Secondary is one entry of the roster, the list of secondaries that every
// zone must reach. It is written at a secondary's first registration and
// removed only by an operator.
type Secondary struct {
	// ID is the host's ID; its task queue is named after it.
	ID string `json:"id"`
	// DNSAddress is the host:port at which the public, and our checks from
	// outside, ask this secondary.
	DNSAddress string `json:"dns_address"`
	// JoinedAt is when it was first registered.
	JoinedAt time.Time `json:"joined_at"`
	// Paused secondaries get nothing until they are resumed.
	Paused bool `json:"paused,omitempty"`
	// Idle says that a paused one has ended what it had begun. It says so itself.
	Idle bool `json:"idle,omitempty"`
}
