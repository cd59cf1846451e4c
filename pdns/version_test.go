package pdns

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNextVersionGrowsWhateverTheClockSays(t *testing.T) {
	now := time.UnixMicro(1_000_000)
	require.EqualValues(t, 1_000_000, NextVersion(0, now), "a lost bucket continues above what was served before")
	require.EqualValues(t, 1_000_000, NextVersion(999_999, now))
	require.EqualValues(t, 1_000_001, NextVersion(1_000_000, now))
	require.EqualValues(t, 2_000_001, NextVersion(2_000_000, now), "a clock that went back")
}
