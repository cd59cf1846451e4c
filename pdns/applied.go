package pdns

import "time"

// Account marks, in PowerDNS's account field, the zones that we created on a
// secondary. Only zones that carry it and have the worker's transfer server
// as their only master are ever changed or deleted.
const Account = "pdns-distribute"

// Applied says which version of a zone a secondary has seen its own PowerDNS
// serve. Losing it costs a full compare, nothing else.
type Applied struct {
	Zone      string    `json:"zone"`
	Version   int64     `json:"version"`
	Serial    uint32    `json:"serial"`
	Deleted   bool      `json:"deleted,omitempty"`
	AppliedAt time.Time `json:"applied_at"`
	// Distrusted says that what is served was found not to be Version, or that Version
	// was handed to PowerDNS and not yet seen served: the zone must be transferred.
	// Version still is what it must not go back from.
	Distrusted bool `json:"distrusted,omitempty"`
}

// Stands reports whether this very version was applied and is not known to be
// anything else by now.
func (a Applied) Stands(version int64) bool { return a.Brief().Stands(version) }

// AppliedBrief is what comparisons of all zones need of [Applied]: a secondary
// holds it of 100,000 zones at once.
type AppliedBrief struct {
	Zone       string
	Version    int64
	Distrusted bool
}

// Brief leaves the rest out.
func (a Applied) Brief() AppliedBrief {
	return AppliedBrief{Zone: a.Zone, Version: a.Version, Distrusted: a.Distrusted}
}

// Stands is [Applied.Stands].
func (a AppliedBrief) Stands(version int64) bool { return a.Version == version && !a.Distrusted }

// AppliedFrom is what to note once version v was seen served at now.
func AppliedFrom(v Version, now time.Time) Applied {
	return Applied{
		Zone: v.Zone, Version: v.Version, Serial: v.Serial, Deleted: v.Deleted, AppliedAt: now.UTC(),
	}
}

// AppliedIf is a where it is known, else nil.
func AppliedIf(a Applied, known bool) *Applied {
	if !known {
		return nil
	}
	return &a
}
