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
	// Answer is what PowerDNS answered where it made the zone: all of it, as it was
	// then. Nil where that was not kept.
	Answer []byte
	// Before is the revision of the zone's entry that was known before the call, 0 for
	// none; of meaning only with Answer, which is out of date where it is not the
	// newest any more.
	Before uint64
	// Trace is the header of its trace, empty for none.
	Trace string
}

// Settings are what, besides its name, says whether a zone is distributed.
type Settings struct {
	Kind    string `json:"kind,omitempty"`
	Account string `json:"account,omitempty"`
}
