package pdns

// NSEC3Parameters are those that RFC 9276 section 3.1 recommends: SHA-1, no
// opt-out, no further iterations, no salt.
const NSEC3Parameters = "1 0 0 -"

// NSEC3State is how a signed zone stands to the policy of NSEC3 everywhere.
type NSEC3State string

// The states.
const (
	// NSEC3Wanted: it has NSEC and can have NSEC3.
	NSEC3Wanted NSEC3State = "wanted"
	// NSEC3Set: it has NSEC3 of whatever parameters, or is not signed any more.
	NSEC3Set NSEC3State = "set"
	// NSEC3Presigned: who signs it decides.
	NSEC3Presigned NSEC3State = "presigned"
	// NSEC3OldKeys: an active key's algorithm forbids NSEC3.
	NSEC3OldKeys NSEC3State = "old keys"
)

// JudgeNSEC3 says what the policy does with a zone. algorithms are those of its
// active keys, by name. Keys of the first algorithms are for NSEC only (RFC 5155
// section 2): validators that know no NSEC3 would take its denials for bogus.
func JudgeNSEC3(presigned bool, param string, algorithms []string) NSEC3State {
	switch {
	case presigned:
		return NSEC3Presigned
	case param != "" || len(algorithms) == 0:
		return NSEC3Set
	}
	for _, algorithm := range algorithms {
		switch algorithm {
		case "RSAMD5", "DSA", "RSASHA1":
			return NSEC3OldKeys
		}
	}
	return NSEC3Wanted
}
