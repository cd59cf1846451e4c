package workflows

import (
	"time"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// ZoneChange is the payload of [SignalZoneChanged] and [UpdateSync]: look at
// this zone again. All fields are hints.
type ZoneChange struct {
	// ChangeID is the proxy's ID of the change.
	ChangeID string `json:"change_id,omitempty"`
	// CreatedAt is when the change was made.
	CreatedAt time.Time `json:"created_at,omitzero"`
	// Primary is the primary that took the change; it exports first.
	Primary string `json:"primary,omitempty"`
	// Taken says that Primary answered the change with success.
	Taken bool `json:"taken,omitempty"`
	// Trigger is what asks, one of the Trigger constants.
	Trigger string `json:"trigger,omitempty"`
	// LeftOver and Together are as in [SyncZoneInput].
	LeftOver bool `json:"left_over,omitempty"`
	Together int  `json:"together,omitempty"`
	// Proxied says what an API call through one of our proxies asked for. Only
	// the event trigger sets it, which has seen the proof.
	Proxied pdns.Proxied `json:"proxied,omitempty"`
}

// SyncZoneInput starts SyncZone. Only Zone is required.
type SyncZoneInput struct {
	// Zone is the zone's name; upper case and a missing final dot are mended.
	Zone string `json:"zone"`
	// Trigger is what started it, one of the Trigger constants; by default
	// manual.
	Trigger string `json:"trigger,omitempty"`
	// Primary is the primary that exports first; by default any.
	Primary string `json:"primary,omitempty"`
	// Proxied is that of the first change.
	Proxied pdns.Proxied `json:"proxied,omitempty"`

	// LeftOver says that a secondary holds the zone although nothing of it is
	// published: where it is gone from every primary, it is deleted. Together is how
	// many such zones there are, which the guard counts.
	LeftOver bool `json:"left_over,omitempty"`
	Together int  `json:"together,omitempty"`
	// Carried is the state that a continued run takes over. Set by the
	// workflow itself only.
	Carried *SyncZoneCarried `json:"carried,omitempty"`
}

// MaxBatch is how many zones one SyncZones takes.
const MaxBatch = activities.MaxBatch

// SyncZonesInput starts SyncZones. Only Zones is required.
type SyncZonesInput struct {
	// Zones are 1 to MaxBatch zone names.
	Zones []string `json:"zones"`
	// Changes are the IDs of the changes of each zone that nothing else asks
	// for; see ExportZoneInput.
	Changes map[string][]string `json:"changes,omitempty"`
	// Trigger is what started it; by default manual.
	Trigger string `json:"trigger,omitempty"`
	// Primary is the primary that exports first; by default any.
	Primary string `json:"primary,omitempty"`
	// Taken says that Primary has just taken changes of all of them.
	Taken bool `json:"taken,omitempty"`
	// Above asks for versions above this number even of what has not changed:
	// a secondary has applied it.
	Above int64 `json:"above,omitempty"`
	// Unchecked leaves out the check from outside: whoever asks compares
	// afterwards.
	Unchecked bool `json:"unchecked,omitempty"`
	// Force has every secondary transfer them again, whatever it knows: what one
	// of them serves was found to be wrong.
	Force bool `json:"force,omitempty"`
	// Proxied says what API calls through our proxies asked for, of all zones.
	Proxied pdns.Proxied `json:"proxied,omitempty"`
}

// ReconcileSecondaryInput starts ReconcileSecondary. Only Secondary is required.
type ReconcileSecondaryInput struct {
	// Secondary is the ID of the secondary to compare in full.
	Secondary string `json:"secondary"`
	// Trigger is what started it; by default manual.
	Trigger string `json:"trigger,omitempty"`
	// Reason says in words why, shown in the web UI.
	Reason string `json:"reason,omitempty"`
	// Adopt names foreign zones to take over where a version of them is
	// published; AdoptAll means all of them.
	Adopt    []string `json:"adopt,omitempty"`
	AdoptAll bool     `json:"adopt_all,omitempty"`
}

// HoldChangeInput starts HoldChange.
type HoldChangeInput struct {
	// Hold is "deletes", or "shrink/" and a zone.
	Hold string `json:"hold"`
}

// HoldDecision is the payload of [SignalApprove] and [SignalReject].
type HoldDecision struct {
	// Digest stands for exactly the changes that are decided about, as the
	// status shows it.
	Digest string `json:"digest"`
}
