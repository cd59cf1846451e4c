package pdns

import (
	"encoding/json"
	"fmt"
	"time"
)

// ChangeKind says what a change did to a zone, as far as the sender knows. It
// picks the event's subject and is a hint only: what is done follows from
// the primary's state.
type ChangeKind string

// The kinds of change, one a NATS subject.
const (
	ChangeAdd    ChangeKind = "add"
	ChangeModify ChangeKind = "modified"
	ChangeDelete ChangeKind = "delete"
)

// Event is the JSON body of a zone event. Only Zone is required, so that
// other programs can publish events too.
type Event struct {
	Zone      string    `json:"zone"`
	CreatedAt time.Time `json:"created_at,omitzero"`
	ChangeID  string    `json:"change_id,omitempty"`
	// Primary is the ID of the primary whose PowerDNS took the change.
	Primary string `json:"primary,omitempty"`
	// Taken says that Primary answered the change with success. Otherwise it
	// is unknown whether anything was changed there. Believed with a proof only.
	Taken bool `json:"taken,omitempty"`
	// RRsets names the changed RRsets where known. A hint, never trusted, and so
	// not part of the proof.
	RRsets []RRsetName `json:"rrsets,omitempty"`
	// Proof says that one of our api-proxies published it, see [Event.Prove].
	Proof string `json:"proof,omitempty"`
}

// RRsetName names one RRset.
type RRsetName struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// ParseEvent decodes an event and makes its zone name canonical. The error
// says what a sender must mend; such an event can never work.
func ParseEvent(data []byte) (Event, error) {
	var e Event
	if err := json.Unmarshal(data, &e); err != nil {
		return Event{}, fmt.Errorf("zone event is not the JSON object it must be: %w", err)
	}
	if e.Zone == "" {
		return Event{}, fmt.Errorf("zone event has no %q", "zone")
	}
	zone, err := CanonicalZone(e.Zone)
	if err != nil {
		return Event{}, fmt.Errorf("zone event: %w", err)
	}
	e.Zone = zone
	return e, nil
}
