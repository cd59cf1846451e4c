package pdns

// Call is a call of the API that has changed a zone, as PowerDNS has answered it
// with success.
type Call struct {
	// Zone is canonical.
	Zone string
	// Kind is what it did.
	Kind ChangeKind
	// ChangeID is its change's.
	ChangeID string
	// RRsets are all that it changed; empty where that is not known.
	RRsets []RRsetName
	// Made is what it made the zone with; zero where it made none, or nothing is known.
	Made Settings
	// Trace is the header of its trace, empty for none.
	Trace string
}

// Settings are what, besides its name, says whether a zone is distributed.
type Settings struct {
	Kind    string `json:"kind,omitempty"`
	Account string `json:"account,omitempty"`
}
