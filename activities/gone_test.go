package activities_test

import (
	"context"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/pdns-distribute/pdns-distribute/activities"
	"github.com/pdns-distribute/pdns-distribute/pdns"
	"github.com/pdns-distribute/pdns-distribute/pdns/api"
)

func TestDeletedZonesAreNoLongerServed(t *testing.T) {
	h := newHosts(t)
	const parent, child = "family.example.", "child.family.example."
	makeZone(t, parent)
	makeZone(t, child)
	for _, zone := range []string{parent, child} {
		_, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
		require.NoError(t, err)
		_, err = apply(h.secondary, zone)
		require.NoError(t, err)
	}
	call(t, http.MethodDelete, "/zones/"+child, nil)
	exported, err := export(h.primary, activities.ExportZoneInput{Zone: child, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.True(t, exported.Version.Deleted)
	applied, err := apply(h.secondary, child)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedDelete, applied.Outcome)
	answer, err := h.secondary.DNS.SOA(t.Context(), h.secondary.DNSAddress, child)
	require.NoError(t, err)
	require.False(t, answer.Served(child))
	answer, err = h.secondary.DNS.SOA(t.Context(), h.secondary.DNSAddress, parent)
	require.NoError(t, err)
	require.True(t, answer.Served(parent))
}

func TestATombstoneNeedsEveryPrimary(t *testing.T) {
	h := newHosts(t)
	zone := publishedZones(t, h, 1)[0]
	lost(t, zone)
	h.primary.Peers = alone{others: []string{"primary-2"}}
	gone, err := export(h.primary, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportGone, gone.Outcome)
	require.Equal(t, []string{"primary-2"}, gone.Peers)
	newest, _, err := h.store.Newest(t.Context(), zone)
	require.NoError(t, err)
	require.False(t, newest.Deleted, "nothing is published before the others were asked")

	tombstone := activities.PublishTombstoneInput{Zone: zone, Revision: gone.Revision, Proxied: pdns.ProxiedDelete}
	deleted, err := run[activities.ExportZoneResult](h.primary, h.primary.PublishTombstone, tombstone)
	require.NoError(t, err)
	require.True(t, deleted.Version.Deleted)
	again, err := run[activities.ExportZoneResult](h.primary, h.primary.PublishTombstone, tombstone)
	require.NoError(t, err)
	require.Equal(t, deleted.Version.Version, again.Version.Version)
}

// lockedOnce is a PowerDNS that fails to delete the first time, as on SQLite when it is storing something by itself.
type lockedOnce struct {
	activities.SecondaryPowerDNS
	locked bool
}

func (l *lockedOnce) DeleteZone(ctx context.Context, zone string) error {
	if !l.locked {
		l.locked = true
		return &api.Error{Status: http.StatusInternalServerError, Zone: zone, Step: "delete zone"}
	}
	return l.SecondaryPowerDNS.DeleteZone(ctx, zone)
}

func TestADeletionThatPowerDNSFailsAtIsTriedOnceMore(t *testing.T) {
	h := newHosts(t)
	zone := publishedZones(t, h, 1)[0]
	_, err := apply(h.secondary, zone)
	require.NoError(t, err)
	lost(t, zone)
	_, err = export(h.primary, activities.ExportZoneInput{Zone: zone, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	h.secondary.PowerDNS = &lockedOnce{SecondaryPowerDNS: h.secondary.PowerDNS}
	applied, err := apply(h.secondary, zone)
	require.NoError(t, err)
	require.Equal(t, activities.AppliedDelete, applied.Outcome)
}

// A primary that is stopped in an orderly way is not registered any more. It may hold the newer zone all the same.
func TestAZoneIsNotGoneWithoutItsPublisher(t *testing.T) {
	h := newHosts(t)
	zone := publishedZones(t, h, 1)[0]
	lost(t, zone)
	other := *h.primary
	other.ID = "primary-2"
	gone, err := export(&other, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportGone, gone.Outcome)
	require.Equal(t, []string{"primary-1"}, gone.Peers)

	deleted, err := run[activities.ExportZoneResult](h.primary, h.primary.PublishTombstone,
		activities.PublishTombstoneInput{Zone: zone, Revision: gone.Revision, Primary: "primary-2", Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.Equal(t, "primary-2", deleted.Version.Publisher)
	makeZone(t, zone)
	again, err := export(&other, activities.ExportZoneInput{Zone: zone})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, again.Outcome, "the primary that deleted it may make it again at once")
}

// A tombstone of the restored bucket is older than what a secondary serves, which
// is to go all the same.
func TestATombstoneIsRaisedAboveWhatIsApplied(t *testing.T) {
	for _, test := range []struct {
		name string
		// lost makes the zone one that is to be gone.
		lost  func(t *testing.T, h hosts, zone string)
		raise func(h hosts, zone string, above int64) (activities.ExportZoneResult, error)
	}{
		{"agreed.example.", deleted, func(h hosts, zone string, above int64) (activities.ExportZoneResult, error) {
			h.primary.Peers = alone{others: []string{"primary-2"}}
			gone, err := export(h.primary, activities.ExportZoneInput{Zone: zone, Above: above})
			if err != nil || gone.Outcome != activities.ExportGone {
				return gone, err
			}
			return run[activities.ExportZoneResult](h.primary, h.primary.PublishTombstone,
				activities.PublishTombstoneInput{Zone: zone, Revision: gone.Revision, Above: above})
		}},
		{"excluded.example.", excluded, func(h hosts, zone string, above int64) (activities.ExportZoneResult, error) {
			return export(h.primary, activities.ExportZoneInput{Zone: zone, Above: above})
		}},
		{"batch.example.", deleted, func(h hosts, zone string, above int64) (activities.ExportZoneResult, error) {
			_, err := run[activities.ZonesResult](h.primary, h.primary.ExportZones, activities.ZonesInput{Zones: []string{zone}, Above: above})
			return activities.ExportZoneResult{}, err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := newHosts(t)
			makeZone(t, test.name)
			exported, err := export(h.primary, activities.ExportZoneInput{Zone: test.name})
			require.NoError(t, err)
			_, err = apply(h.secondary, test.name)
			require.NoError(t, err)
			test.lost(t, h, test.name)
			_, err = export(h.primary, activities.ExportZoneInput{Zone: test.name, Proxied: pdns.ProxiedDelete})
			require.NoError(t, err)
			ahead := pdns.AppliedFrom(exported.Version, time.Now())
			ahead.Version += time.Hour.Microseconds()
			require.NoError(t, h.secondary.Applied.Set(ahead))
			_, err = apply(h.secondary, test.name)
			require.ErrorContains(t, err, "the bucket is younger")

			_, err = test.raise(h, test.name, ahead.Version)
			require.NoError(t, err)
			raised, _, err := h.store.Newest(t.Context(), test.name)
			require.NoError(t, err)
			require.True(t, raised.Deleted)
			require.Greater(t, raised.Version, ahead.Version)
			applied, err := apply(h.secondary, test.name)
			require.NoError(t, err)
			require.Equal(t, activities.AppliedDelete, applied.Outcome)
		})
	}
}

func deleted(t *testing.T, _ hosts, zone string) { lost(t, zone) }

func excluded(_ *testing.T, h hosts, zone string) {
	h.primary.Selection = pdns.Selection{Exclude: []string{zone}}
}

// PowerDNS is not asked for the content of what an API call has deleted. Where that was made again at once, it is.
func TestADeletedZoneIsNotTransferred(t *testing.T) {
	h := newHosts(t)
	zone := publishedZones(t, h, 1)[0]
	lost(t, zone)
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	deaf := *h.primary
	deaf.DNSAddress = listener.Addr().String()
	gone, err := export(&deaf, activities.ExportZoneInput{Zone: zone, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.True(t, gone.Version.Deleted)
	require.NoError(t, listener.(*net.TCPListener).SetDeadline(time.Now().Add(100*time.Millisecond)))
	_, err = listener.Accept()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "it was asked for the zone")

	makeZone(t, zone)
	again, err := export(h.primary, activities.ExportZoneInput{Zone: zone, Proxied: pdns.ProxiedDelete})
	require.NoError(t, err)
	require.Equal(t, activities.ExportPublished, again.Outcome)
	require.False(t, again.Version.Deleted)
}
