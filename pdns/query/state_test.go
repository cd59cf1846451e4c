package query

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/pdns"
)

func TestCompare(t *testing.T) {
	serves := func(owner string, serial uint32) Answer {
		return Answer{Owner: owner, Serial: serial, Authoritative: true}
	}
	live := pdns.Version{Zone: "child.example.", Serial: 7}
	gone := pdns.Version{Zone: "child.example.", Deleted: true}
	require.Equal(t, pdns.ServedCurrent, serves("child.example.", 7).Compare(live))
	require.Equal(t, pdns.ServedOutdated, serves("child.example.", 6).Compare(live))
	require.Equal(t, pdns.ServedOutdated, serves("child.example.", 8).Compare(live), "ahead is not current")
	require.Equal(t, pdns.ServedMissing, serves("example.", 7).Compare(live), "the parent's SOA does not count")
	require.Equal(t, pdns.ServedLeftOver, serves("child.example.", 7).Compare(gone))
	require.Equal(t, pdns.ServedCurrent, serves("example.", 7).Compare(gone))
	require.Equal(t, pdns.ServedCurrent, Answer{Rcode: 5}.Compare(gone))
}
