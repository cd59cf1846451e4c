package activities_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
)

// killedBeforeNoting is the state of a worker that is killed between what PowerDNS serves and the note of it.
type killedBeforeNoting struct{ activities.AppliedState }

var errKilled = errors.New("killed")

func (k killedBeforeNoting) Set(a pdns.Applied) error {
	if !a.Distrusted {
		return errKilled
	}
	return k.AppliedState.Set(a)
}

// What PowerDNS was handed may be served although nobody lived to note it, and an older version may be all that NATS
// shows then: from a replica that lags, or after a restore.
func TestWhatWasHandedOutIsNotGoneBackFrom(t *testing.T) {
	for _, test := range []struct {
		name    string
		applied bool // the first version
		changed func(t *testing.T, h hosts, zone string)
		outcome string
	}{
		{"made with its content", false, renewed, activities.AppliedNow},
		{"changed alone", true, renewed, activities.AppliedNow},
		{"transferred", true, func(t *testing.T, h hosts, zone string) {
			renewed(t, h, zone)
			h.secondary.Changer = nil
		}, activities.AppliedNow},
		{"deleted", true, deleted, activities.AppliedDelete},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHosts(t)
			const zone = "handed.example."
			publish := func() pdns.Version {
				result, err := export(h.primary, activities.ExportZoneInput{Zone: zone, Proxied: pdns.ProxiedDelete})
				require.NoError(t, err)
				return result.Version
			}
			makeZone(t, zone)
			before := publish()
			if test.applied {
				_, err := apply(h.secondary, zone)
				require.NoError(t, err)
			}
			test.changed(t, h, zone)
			newest, state := publish(), h.secondary.Applied
			require.Greater(t, newest.Version, before.Version)
			h.secondary.Applied = killedBeforeNoting{state}
			_, err := apply(h.secondary, zone)
			require.ErrorContains(t, err, errKilled.Error())

			h.secondary.Applied, h.secondary.Versions = state, olderBucket{h.store, before}
			_, err = apply(h.secondary, zone)
			require.ErrorContains(t, err, "the bucket is younger")
			h.secondary.Versions = h.store
			applied, err := apply(h.secondary, zone)
			require.NoError(t, err)
			require.Equal(t, test.outcome, applied.Outcome)
			require.Equal(t, newest.Version, applied.Version)
		})
	}
}

// renewed changes the zone's text.
func renewed(t *testing.T, _ hosts, zone string) { set(t, zone, 77, "renewed") }
