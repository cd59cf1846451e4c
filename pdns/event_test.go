package pdns

import (
	"testing"

	"github.com/stretchr/testify/require"
)

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
