package pdns

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// HeldKind says what a held change would do.
type HeldKind string

// The kinds of held changes.
const (
	HeldDelete HeldKind = "delete"
	HeldShrink HeldKind = "shrink"
)

// Decision is what a person said about a held change.
type Decision string

// The decisions. A rejected change stays noted, so that it is not held up for
// decision again and again while the primary still asks for it.
const (
	Undecided Decision = ""
	Approved  Decision = "approved"
	Rejected  Decision = "rejected"
)

// HeldChange is one change that the guard keeps from publication, one a zone.
type HeldChange struct {
	Zone string   `json:"zone"`
	Kind HeldKind `json:"kind"`
	// Reason says in words why it is held.
	Reason string `json:"reason"`
	// Base is the version that it would follow; when that is not the newest
	// any more, nobody asks for it any more.
	Base int64 `json:"base"`
	// Serial and Digest are what would be published, empty where the zone would
	// be deleted.
	Serial uint32 `json:"serial,omitempty"`
	Digest string `json:"digest,omitempty"`
	// Before and After count the plain records.
	Before int `json:"before"`
	After  int `json:"after"`
	// Since is when it was held first.
	Since    time.Time `json:"since"`
	Decision Decision  `json:"decision,omitempty"`
	// Decided is the digest of the hold that the decision was about.
	Decided string `json:"decided,omitempty"`
}

// DeletesHold is the hold that all held deletes make together.
const DeletesHold = "deletes"

const shrinkHold = "shrink/"

// Hold names what the change is decided with: all deletes together, each
// shrinking zone alone.
func (h HeldChange) Hold() string {
	if h.Kind == HeldDelete {
		return DeletesHold
	}
	return shrinkHold + h.Zone
}

// ZoneOfHold is the zone of a hold that is of one zone only, and whether hold is
// the name of a hold at all. The zone's final dot may be missing.
func ZoneOfHold(hold string) (zone string, valid bool) {
	if hold == DeletesHold {
		return "", true
	}
	name, found := strings.CutPrefix(hold, shrinkHold)
	if !found {
		return "", false
	}
	zone, err := CanonicalZone(name)
	return zone, err == nil
}

// HoldOf is the canonical name of a hold.
func HoldOf(hold string) (string, error) {
	zone, valid := ZoneOfHold(hold)
	switch {
	case !valid:
		return "", fmt.Errorf("%q is no hold; they are called %q and %q", hold, DeletesHold, shrinkHold+"ZONE")
	case zone == "":
		return hold, nil
	}
	return shrinkHold + zone, nil
}

// Asks reports whether both ask for the same change of the same version.
func (h HeldChange) Asks(g HeldChange) bool {
	return h.Zone == g.Zone && h.Kind == g.Kind && h.Base == g.Base && h.Serial == g.Serial && h.Digest == g.Digest
}

// Deciding returns those of a hold's changes that a decision is about, sorted: the
// undecided ones; where there are none, the rejected ones, since one may think
// again. With a digest it returns the changes that it stands for, those that the
// same decision has reached already among them, so that one which broke off is
// carried to its end; none where the hold is another by now.
func Deciding(changes []HeldChange, digest string) []HeldChange {
	for _, open := range []Decision{Undecided, Rejected} {
		var set []HeldChange
		for _, h := range changes {
			if h.Decision == open || digest != "" && h.Decided == digest {
				set = append(set, h)
			}
		}
		slices.SortFunc(set, func(a, b HeldChange) int { return cmp.Compare(a.Zone, b.Zone) })
		if len(set) > 0 && (digest == "" || HoldDigest(set) == digest) {
			return set
		}
	}
	return nil
}

// HoldDigest stands for exactly these changes, sorted by zone: a decision that
// names it is about them and no others.
func HoldDigest(changes []HeldChange) string {
	sum := sha256.New()
	for _, h := range changes {
		fmt.Fprintf(sum, "%s %s %d %d %s\n", h.Zone, h.Kind, h.Base, h.Serial, h.Digest)
	}
	return hex.EncodeToString(sum.Sum(nil)[:12])
}
