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

func TestParseEvent(t *testing.T) {
	event, err := ParseEvent([]byte(`{"zone":"Example.ORG","more":1}`))
	require.NoError(t, err)
	require.Equal(t, "example.org.", event.Zone)
	for data, message := range map[string]string{
		``:                  "not the JSON object",
		`[]`:                "not the JSON object",
		`{}`:                `has no "zone"`,
		`{"zone":"a..b."}`:  "zone event: ",
		`{"zone":5}`:        "not the JSON object",
		`{"zone":"x."} ...`: "not the JSON object",
	} {
		_, err := ParseEvent([]byte(data))
		require.ErrorContains(t, err, message, data)
	}
}
