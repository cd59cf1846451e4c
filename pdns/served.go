package pdns

// ServedState is what a server serves of a zone, compared with a version.
type ServedState string

// The states. ServedSilent is for a server that did not answer at all.
const (
	ServedCurrent  ServedState = "current"
	ServedOutdated ServedState = "outdated"
	ServedMissing  ServedState = "missing"
	ServedLeftOver ServedState = "left over"
	ServedSilent   ServedState = "unreachable"
)
