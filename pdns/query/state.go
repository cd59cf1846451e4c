package query

import "github.com/pdns-distribute/pdns-distribute/pdns"

// Compare says how the answer to a SOA question stands to what should be
// served. An equal serial counts as current here; a content check looks deeper.
func (a Answer) Compare(want pdns.Version) pdns.ServedState {
	served := a.Served(want.Zone)
	switch {
	case want.Deleted && served:
		return pdns.ServedLeftOver
	case want.Deleted:
		return pdns.ServedCurrent
	case !served:
		return pdns.ServedMissing
	case a.Serial != want.Serial:
		return pdns.ServedOutdated
	}
	return pdns.ServedCurrent
}
